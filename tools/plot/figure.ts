import { type Chart, chartHeight, chartWidth, drawChart } from './chart.ts';
import { element, escapeText } from './svg.ts';

const COLUMNS = 2;
const GAP = 14;
const TITLE_HEIGHT = 34;

// The picture brings its own background, so that it is readable wherever it is shown.
const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #333 }
.title { font-weight: 600 } .head { font-size: 15px; font-weight: 600 }
.middle { text-anchor: middle } .end { text-anchor: end }
.back { fill: #fff } .grid { stroke: #ddd } .axis { stroke: #777 }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .back { fill: #14171c } .grid { stroke: #333a44 } .axis { stroke: #8a929e }
}
`;

/** A picture of several charts, two beside each other. The same input gives the same bytes. @returns an SVG file */
export function drawFigure(title: string, charts: readonly Chart[]): string {
  const columns = Math.min(COLUMNS, charts.length);
  const width = columns * chartWidth + (columns + 1) * GAP;
  const placed: string[] = [];
  let top = TITLE_HEIGHT;
  for (let i = 0; i < charts.length; i += columns) {
    const row = charts.slice(i, i + columns);
    row.forEach((chart, column) => {
      const left = GAP + column * (chartWidth + GAP);
      placed.push(element('g', { transform: `translate(${left} ${top})` }, `\n${drawChart(chart)}\n`));
    });
    top += Math.max(...row.map(chartHeight)) + GAP;
  }
  const content = [
    element('title', {}, escapeText(title)),
    element('style', {}, STYLE),
    element('rect', { width, height: top, class: 'back' }),
    element('text', { x: GAP, y: 22, class: 'head' }, escapeText(title)),
    ...placed,
  ];
  const attributes = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${top}`, width, height: top };
  return `${element('svg', attributes, `\n${content.join('\n')}\n`)}\n`;
}
