interface Schema {
  default?: unknown;
  description?: string;
  properties?: Record<string, Schema>;
}

/**
 * Says the defaults of properties in their descriptions. With the keyword `default`, generators of clients take a property
 * that may be left out for one that is always there, and demand it in requests.
 */
export function stateDefaults(document: { readonly components?: { readonly schemas?: unknown } }): void {
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { properties } = value as Schema;
    for (const property of Object.values(properties ?? {})) {
      if (!('default' in property)) continue;
      property.description = `${property.description ?? ''}. Default: \`${JSON.stringify(property.default)}\``;
      delete property.default;
    }
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(document.components?.schemas);
}
