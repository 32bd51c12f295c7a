import type { StopName } from './stops.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}
export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}
export type Boxes = Readonly<Record<StopName | 'road', Box>>;
/** A straight piece of a way, between two places. */
export interface Piece {
  readonly from: Point;
  readonly to: Point;
}
/** The two ways of operations. */
export interface Ways {
  /** What every operation passes. */
  readonly common: Piece;
  readonly workflow: readonly Piece[];
  readonly direct: readonly Piece[];
}

const middle = ({ x, y, width, height }: Box): Point => ({ x: x + width / 2, y: y + height / 2 });

/** Whether the places stand beside each other; else below each other, on narrow screens. */
export function isWide({ client, postgres }: Boxes): boolean {
  return postgres.x > client.x + client.width;
}

/** The lines between the places. All are straight: the long places reach over both ways. */
export function waysOf(boxes: Boxes): Ways {
  const across = isWide(boxes);
  /** From the end of one box to the start of the next, at the height (or, below each other, at the side) of `at`. */
  const piece = (one: Box, next: Box, at: Point): Piece =>
    across
      ? { from: { x: one.x + one.width, y: at.y }, to: { x: next.x, y: at.y } }
      : { from: { x: at.x, y: one.y + one.height }, to: { x: at.x, y: next.y } };
  const { client, api, workflow, worker, postgres, road } = boxes;
  const through = middle(workflow);
  return {
    common: piece(client, api, middle(api)),
    workflow: [piece(api, workflow, through), piece(workflow, worker, through), piece(worker, postgres, through)],
    direct: [piece(api, road, middle(road)), piece(road, postgres, middle(road))],
  };
}

/** The points that the dot of an operation passes. */
export function pointsOf(boxes: Boxes, way: readonly StopName[]): Point[] {
  const across = isWide(boxes);
  const isDirect = !way.includes('workflow');
  const line = middle(isDirect ? boxes.road : boxes.workflow);
  return way.flatMap((name): Point[] => {
    const at = middle(boxes[name]);
    // In the long places a dot changes from the line of the window to the line of its way.
    const turned = across ? { x: at.x, y: line.y } : { x: line.x, y: at.y };
    if (name === 'client') return [at];
    if (name === 'api') return way.length > 2 ? [at, turned] : [at];
    return [turned];
  });
}
