// settle is the JSON of what load gives, or of the error on the way: the
// default export where there is one, called where it is a function and waited
// for where it is a promise. Both engines run it.
'use strict'
async function settle(load) {
  try {
    let v = await load()
    // Twice where node wraps what a compiler has wrapped.
    for (let n = 0; n < 2 && hasDefault(v); n++) v = v.default
    if (typeof v === 'function') v = v()
    return JSON.stringify({ value: await v }, plain)
  } catch (e) {
    return JSON.stringify({ error: { message: String(e), stack: String((e && e.stack) || '') } })
  }
}

function hasDefault(v) {
  return Object(v) === v && 'default' in v && (v.__esModule || v[Symbol.toStringTag] === 'Module')
}

// The one value that configurations hold and JSON does not: ignore_watch.
function plain(key, value) {
  if (Object.prototype.toString.call(value) !== '[object RegExp]') return value
  const flags = value.flags.replace(/[^ims]/g, '')
  return 'regexp:' + (flags && `(?${flags})`) + value.source
}
