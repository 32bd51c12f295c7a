import type { StopName } from './stops.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}
export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}
/** Where the picture shows what. Ways pass the icons of the places; the direct one passes the sign of its road. */
export interface Layout {
  readonly places: Readonly<Record<StopName, Box>>;
  readonly icons: Readonly<Record<StopName, Box>>;
  readonly road: Box;
}
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
function isWide({ places: { client, postgres } }: Layout): boolean {
  return postgres.x > client.x + client.width;
}

/** The lines between the places. All are straight: the API and Postgres reach over both ways. */
export function waysOf(layout: Layout): Ways {
  const across = isWide(layout);
  /** From the end of one box to the start of the next, in the line of a point. */
  const piece = (one: Box, next: Box, line: Point): Piece =>
    across
      ? { from: { x: one.x + one.width, y: line.y }, to: { x: next.x, y: line.y } }
      : { from: { x: line.x, y: one.y + one.height }, to: { x: line.x, y: next.y } };
  const { places, icons, road } = layout;
  const { client, api, workflow, worker, postgres } = places;
  const through = middle(icons.workflow);
  return {
    common: piece(client, api, middle(icons.api)),
    workflow: [piece(api, workflow, through), piece(workflow, worker, through), piece(worker, postgres, through)],
    direct: [piece(api, road, middle(road)), piece(road, postgres, middle(road))],
  };
}

/** The points that the dot of an operation passes. */
export function pointsOf(layout: Layout, way: readonly StopName[]): Point[] {
  const stops = way.map((name) => middle(layout.icons[name]));
  const [client, api, postgres] = stops;
  const isDirect = way.length === 3 && client !== undefined && api !== undefined && postgres !== undefined;
  if (!isDirect) return stops;
  const road = middle(layout.road);
  const beside = ({ x, y }: Point): Point => (isWide(layout) ? { x, y: road.y } : { x: road.x, y });
  return [client, api, beside(api), beside(postgres), postgres];
}
