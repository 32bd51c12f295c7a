// An ESLint rule with type information. The keys of a plain object that come from a request may name what the object
// inherits: `constructor`, `toString` and `__proto__` are valid user ids, and `toString` is a valid conversation id. So a
// look-up with such a key finds something that nobody stored. A `Map`, or a `Set`, has only what was put into it.
import ts from 'typescript';

const { TypeFlags } = ts;

/** @type {import('eslint').Rule.RuleModule} */
export const noPlainObjectLookup = {
  meta: {
    type: 'problem',
    docs: { description: 'A plain object is read only with names that the code knows' },
    schema: [],
    messages: {
      lookup:
        'This key may be any string, also the name of something that every object inherits. Use a Map, or a key of a union type.',
      in: '`in` is also true for names that every object inherits. Use a Map, or Object.hasOwn.',
    },
  },
  create(context) {
    const { parserServices } = context.sourceCode;
    const typeOf = (node) => parserServices.getTypeAtLocation(node);
    return {
      MemberExpression(node) {
        if (!node.computed || node.property.type === 'Literal') return;
        if (!isOpen(typeOf(node.property)) || isOwnNameOf(node, context.sourceCode)) return;
        // Names of environment variables come from the code.
        if (typeOf(node.object).symbol?.name === 'ProcessEnv') return;
        context.report({ node: node.property, messageId: 'lookup' });
      },
      BinaryExpression(node) {
        if (node.operator !== 'in' || node.left.type === 'Literal' || node.left.type === 'PrivateIdentifier') return;
        if (isOpen(typeOf(node.left))) context.report({ node: node.left, messageId: 'in' });
      },
    };
  },
};

/** Whether a value of the type may be any string: not only numbers, symbols, or strings of a finite union. */
function isOpen(type) {
  if (type.isUnion()) return type.types.some(isOpen);
  if (type.isIntersection())
    return type.types.every(isOpen) || type.types.some(({ flags }) => flags & TypeFlags.String);
  if (type.flags & (TypeFlags.TypeParameter | TypeFlags.IndexedAccess)) {
    const constraint = type.getConstraint?.() ?? type.checker.getBaseConstraintOfType(type);
    return constraint === undefined || isOpen(constraint);
  }
  // `keyof T`: names that the code knows, as far as the type of the object says.
  if (type.flags & TypeFlags.Index) return false;
  const open =
    TypeFlags.String | TypeFlags.TemplateLiteral | TypeFlags.StringMapping | TypeFlags.Any | TypeFlags.Unknown;
  return (type.flags & open) !== 0;
}

/** Whether the key is the variable of a `for (const key in object)` over the same object: then it has this name itself. */
function isOwnNameOf({ object, property }, sourceCode) {
  if (property.type !== 'Identifier') return false;
  const variable = findVariable(sourceCode.getScope(property), property.name);
  const loop = variable?.defs[0]?.node.parent?.parent;
  return loop?.type === 'ForInStatement' && sourceCode.getText(loop.right) === sourceCode.getText(object);
}

function findVariable(scope, name) {
  for (let at = scope; at !== null; at = at.upper) {
    const found = at.set.get(name);
    if (found !== undefined) return found;
  }
  return undefined;
}
