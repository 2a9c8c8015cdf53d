// Colours Rust: comments, texts, numbers, words of the language. The page is readable
// without.
const code = document.querySelector('pre.source code');
const words = 'as async await break const continue crate else enum false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while'.split(' ');
const token = new RegExp([
  '(?<comment>//[^\\n]*)',
  '(?<text>r#"[\\s\\S]*?"#|b?"(?:\\\\[\\s\\S]|[^"\\\\])*"|b?\'(?:\\\\.|[^\'\\\\])\')',
  '(?<number>\\b\\d[\\d_.]*(?:[a-z]\\w*)?)',
  `(?<word>\\b(?:${words.join('|')})\\b)`,
  '(?<type>\\b[A-Z]\\w*)',
].join('|'), 'g');
const text = code.textContent;
const painted = document.createDocumentFragment();
let at = 0;
for (const found of text.matchAll(token)) {
  const kind = Object.keys(found.groups).find((name) => found.groups[name] !== undefined);
  const span = document.createElement('span');
  span.className = kind;
  span.textContent = found[0];
  painted.append(text.slice(at, found.index), span);
  at = found.index + found[0].length;
}
painted.append(text.slice(at));
code.replaceChildren(painted);
