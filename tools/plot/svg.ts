/** Attributes of an element, in their order. */
type Attributes = Readonly<Record<string, string | number>>;

const ESCAPES = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
]);

export function escapeText(text: string): string {
  return text.replaceAll(/[&<>"]/g, (sign) => ESCAPES.get(sign) ?? sign);
}

/** An SVG element. Numbers are rounded to tenths, so that a picture is the same on every machine. @param content SVG */
export function element(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes).map(([key, value]) => {
    return `${key}="${typeof value === 'number' ? tenths(value) : escapeText(value)}"`;
  });
  const head = [name, ...written].join(' ');
  return content === '' ? `<${head}/>` : `<${head}>${content}</${name}>`;
}

export function tenths(value: number): string {
  return String(Math.round(value * 10) / 10);
}
