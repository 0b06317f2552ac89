package main

// The quantities of logs.
const (
	lineRate      quantity = "lines a second"
	lineCPU       quantity = "manager's CPU for all"
	linesMade     quantity = "lines"
	linesLost     quantity = "lost"
	linesBroken   quantity = "broken"
	linesRepeated quantity = "again or out of order"

	crowdMemory quantity = "daemon's RSS after 10 s"
	crowdDrift  quantity = "most it changes later"
	crowdCPU    quantity = "daemon's CPU"

	followCPU   quantity = "CPU of `logs`"
	historyTime quantity = "time of `logs`"
	rotatedTime quantity = "where the log was rotated 30 s ago"
)

// The situations of logs.
const (
	inBlocks  situation = "lines in blocks"
	inSingles situation = "lines one by one"
	rotating  situation = "rotated"
	manyApps  situation = "many apps"
)

// fates are the columns of what became of lines.
func fates(s situation) []column {
	return []column{
		{linesLost.in(s), linesMade.in(s)},
		{linesBroken.in(s), linesMade.in(s)},
		{linesRepeated.in(s), linesMade.in(s)},
	}
}

func rateColumns(s situation) []column {
	return append([]column{{q: lineRate.in(s)}, {q: lineCPU.in(s)}}, fates(s)...)
}

// logChapter is the part of the report on logs.
func logChapter() chapter {
	return chapter{
		head: "Logs",
		text: "An app writes numbered lines of 100 bytes, each with a checksum, and every one of them is looked for in the files. " +
			"Broken is a line whose bytes are all there, but not as one line with one time at its beginning, where there is to be one; " +
			"lost is one of which bytes are missing. `> file` is the app with its output redirected by a shell. " +
			"Of lines, the sum of all rounds; of other figures the median.",
		of: allLoggers, counted: "app", beside: []string{plainFile, pm2Raw},
		sections: logSections(), promises: logPromises(),
	}
}

func logSections() []section {
	return []section{
		{
			head: "Lines in blocks", count: 1, columns: rateColumns(inBlocks), ratios: true,
			text: "As fast as they are taken, in blocks of 64 KiB, and counted until the last one is in the file. " +
				"CPU is that of all of the manager's processes, until a second later at least. No log is rotated.",
		},
		{
			head: "Lines one by one", count: 1, columns: rateColumns(inSingles), ratios: true,
			text: "The same, with a write(2) for each line.",
		},
		{
			head: "Rotated", count: 1, columns: rateColumns(rotating), ratios: false,
			text: "Blocks again; each 10 MB are put aside and compressed meanwhile.",
		},
		{
			head: "Many apps at a steady rate", count: crowdSized,
			text:    "Each writes 2,000 lines a second, one by one. CPU is of one core.",
			columns: append([]column{{q: crowdMemory}, {q: crowdDrift}, {q: crowdCPU}}, fates(manyApps)...),
		},
		{
			head: "Following apps that say nothing", count: quietApps,
			text:    "Of one core, over 10 s.",
			columns: []column{{q: followCPU}},
		},
		{
			head: "The last minute of a long history", count: 1,
			text:    "`logs --since 1m --nostream`, with a gigabyte of lines in ten compressed files and the log, all of them of one app and over ten hours.",
			columns: []column{{q: historyTime}, {q: rotatedTime}},
		},
	}
}

func logPromises() []promise {
	all := []promise{
		{row{lineRate.in(inBlocks), 1}, tendRaw, 0.9, plainFile},
		{row{lineRate.in(inSingles), 1}, tendRaw, 0.9, plainFile},
	}
	for _, s := range []situation{inBlocks, inSingles} {
		all = append(all,
			promise{row{lineCPU.in(s), 1}, tendRaw, 0.3, ""},
			promise{row{lineRate.in(s), 1}, tendDated, 2e6, ""},
			promise{row{lineRate.in(s), 1}, tendDated, 7, pm2Dated},
			promise{row{lineCPU.in(s), 1}, tendDated, 1.2, ""})
	}
	none := func(who string, s situation, count int) {
		for _, c := range fates(s) {
			all = append(all, promise{row{c.q, count}, who, 0, ""})
		}
	}
	for _, s := range []situation{inBlocks, inSingles, rotating} {
		none(tendRaw, s, 1)
		none(tendDated, s, 1)
	}
	none(tendRaw, manyApps, crowdSized)
	return append(all,
		promise{row{crowdDrift, crowdSized}, tendRaw, 2 << 20, ""},
		promise{row{followCPU, quietApps}, tendRaw, 5, ""},
		promise{row{historyTime, 1}, tendDated, 1, ""},
		promise{row{rotatedTime, 1}, tendDated, 1, ""})
}
