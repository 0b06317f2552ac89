package pm2env

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Inspect is v, of the types that AppendJSON takes, in the style of Node's
// util.inspect: single quotes, keys bare where they can be, two spaces a level
// and short things on one line. Nothing is left out, however long or deep.
func Inspect(v any) string {
	text, _ := inspect(v, 0)
	return text
}

// What Node allows on one line: so many columns, of which some are put aside
// for what may stand before, and so many levels of nesting.
const (
	lineWidth  = 80
	lineMargin = 11
	lineLevels = 3
)

// inspect is v as text and how many levels of objects and lists it has. indent
// is the column that its lines after the first start in.
func inspect(v any, indent int) (string, int) {
	var parts []string
	levels := 0
	add := func(key string, value any) {
		text, n := inspect(value, indent+2)
		parts = append(parts, key+text)
		levels = max(levels, n)
	}
	opening, closing := "[", "]"
	if o, ok := members(v); ok {
		opening, closing = "{", "}"
		for _, m := range o {
			add(bareKey(m.Key)+": ", m.Value)
		}
	} else {
		switch s := v.(type) {
		case string:
			return quote(s), 0
		case []any, []Object, []string, []int:
			for _, e := range elements(v) {
				add("", e)
			}
		default:
			return string(AppendJSON(nil, v)), 0
		}
	}
	if len(parts) == 0 {
		return opening + closing, 0
	}
	broken := false
	if opening == "[" && len(parts) > groupAbove {
		lines := grouped(parts, indent, v)
		broken = len(lines) < len(parts)
		parts = lines
	}
	width := indent + lineMargin + 2*len(parts)
	for _, p := range parts {
		width += utf8.RuneCountInString(p)
		broken = broken || strings.Contains(p, "\n")
	}
	if !broken && width <= lineWidth && levels < lineLevels {
		return opening + " " + strings.Join(parts, ", ") + " " + closing, levels + 1
	}
	margin := "\n" + strings.Repeat(" ", indent)
	return opening + margin + "  " + strings.Join(parts, ","+margin+"  ") + margin + closing, levels + 1
}

// Lists of more elements than groupAbove stand in columns, in so many at most.
const (
	groupAbove  = 6
	mostColumns = 12
)

// grouped are lines of elements in columns, as Node chooses their number: it
// wants a rectangle in which a line is about two and a half times as high as a
// character is wide. Without any two in a line it gives back parts.
func grouped(parts []string, indent int, list any) []string {
	const separator = 2
	total, longest := 0, 0
	lengths := make([]int, len(parts))
	for i, p := range parts {
		lengths[i] = utf8.RuneCountInString(p)
		total += lengths[i] + separator
		longest = max(longest, lengths[i])
	}
	widest, count := float64(longest+separator), float64(len(parts))
	if 3*(longest+separator)+indent >= lineWidth || longest > 6 && float64(total)/widest <= 5 {
		return parts
	}
	typical := max(widest-3-math.Sqrt(widest-float64(total)/count), 1)
	columns := min(int(math.Round(math.Sqrt(2.5*typical*count)/typical)), (lineWidth-indent)/(longest+separator), mostColumns)
	if columns <= 1 {
		return parts
	}
	widths := make([]int, columns)
	for i, n := range lengths {
		widths[i%columns] = max(widths[i%columns], n+separator)
	}
	right := areNumbers(list)
	var lines []string
	for first := 0; first < len(parts); first += columns {
		var line strings.Builder
		end := min(first+columns, len(parts))
		for i := first; i < end; i++ {
			pad := strings.Repeat(" ", widths[i-first]-separator-lengths[i])
			switch {
			case right:
				line.WriteString(pad + parts[i])
			case i+1 < end:
				line.WriteString(parts[i] + "," + pad + " ")
				continue
			default:
				line.WriteString(parts[i])
			}
			if i+1 < end {
				line.WriteString(", ")
			}
		}
		lines = append(lines, line.String())
	}
	return lines
}

// areNumbers tells lists of numbers, which are flush right, from others.
func areNumbers(list any) bool {
	for _, e := range elements(list) {
		switch e.(type) {
		case int, int64, float64:
		default:
			return false
		}
	}
	return true
}

// bareKey is key as it may stand before a colon in JavaScript.
func bareKey(key string) string {
	for i, r := range key {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return quote(key)
		}
	}
	if key == "" {
		return "''"
	}
	return key
}

// quote prefers the quotes that s does not hold: ', then ", then `.
func quote(s string) string {
	q := "'"
	if strings.Contains(s, q) {
		switch {
		case !strings.Contains(s, `"`):
			q = `"`
		case !strings.Contains(s, "`") && !strings.Contains(s, "${"):
			q = "`"
		}
	}
	text := string(appendString(nil, s))
	text = strings.ReplaceAll(text[1:len(text)-1], `\"`, `"`)
	if q != "`" {
		text = strings.ReplaceAll(text, q, `\`+q)
	}
	return q + text + q
}
