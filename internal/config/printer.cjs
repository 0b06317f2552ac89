// Imports the configuration file that argv names and writes what settle makes
// of it to descriptor 3. With "bundled" as the last argument the code is on
// standard input and only stands for the file.
const fs = require('fs'), path = require('path'), { pathToFileURL } = require('url'), Module = require('module')

const bundled = process.argv.pop() === 'bundled'
const file = process.argv[1]

function load() {
  if (!bundled) return import(pathToFileURL(file).href)
  const m = new Module(file)
  m.filename = file
  m.paths = Module._nodeModulePaths(path.dirname(file))
  m._compile(fs.readFileSync(0, 'utf8'), file)
  return m.exports
}

settle(load).then((text) => {
  const bytes = Buffer.from(text)
  for (let n = 0; n < bytes.length;) n += fs.writeSync(3, bytes, n)
  process.exit(0) // whatever the file left open
})
