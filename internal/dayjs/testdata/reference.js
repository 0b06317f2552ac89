// Formats each of the times of stdin with day.js and with moment, in the zone
// of TZ: [{"format", "ms"}] becomes [{"dayjs", "moment"}].
const dayjs = require('dayjs')
const moment = require('moment')

for (const plugin of ['advancedFormat', 'localizedFormat', 'weekOfYear', 'weekYear', 'isoWeek']) {
  dayjs.extend(require('dayjs/plugin/' + plugin))
}

const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'))
process.stdout.write(JSON.stringify(cases.map(({ format, ms }) => ({
  dayjs: dayjs(ms).format(format),
  moment: moment(ms).format(format),
}))))
