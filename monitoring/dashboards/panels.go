package dashboards

// kind of a panel, by the name of Grafana's plug-in.
type kind string

const (
	kindStat     kind = "stat"
	kindGraph    kind = "timeseries"
	kindTimeline kind = "state-timeline"
	kindBars     kind = "bargauge"
	kindTable    kind = "table"
)

// Units by Grafana's identifiers.
const (
	seconds      = "s"
	milliseconds = "ms"
	bytesIEC     = "bytes"
	bytesPerSec  = "binBps"
	fraction     = "percentunit"
	perSecond    = "ops"
	plain        = "short"
)

const (
	green  = "green"
	yellow = "yellow"
	red    = "red"
	blue   = "blue"
	grey   = "#8e8e8e"
	orange = "orange"
)

// row is a headline with the panels below it, placed from left to right.
type row struct {
	title     string
	collapsed bool
	panels    []panel
}

// query is one expression of a panel, and how its series are called.
type query struct{ expr, legend string }

func q(expr, legend string) query { return query{expr, legend} }

// state is a value that has a meaning.
type state struct {
	value, text, colour string
}

// step is the colour from a value upwards; the first has no value.
type step struct {
	from   *float64
	colour string
}

// panel is one picture. about says what is seen and when to worry; Grafana shows it behind the i.
type panel struct {
	kind         kind
	title, about string
	w, h         int
	queries      []query

	unitName  string
	noValue   string
	max       *float64
	decimals  *float64
	states    []state
	steps     []step
	area      bool // fill down to zero, one on top of the other
	columns   []column
	by        []column // of a table: the labels that name a line
	named     bool     // of a stat: the name of the series is what matters
	firstDown string   // of a table: the header by which it is sorted, the largest first
}

// column of a table: a figure, or in by a label (expr is its name). A column without header only brings labels.
type column struct {
	header, expr, unit string
	states             []state
	steps              []step
}

// stat is one figure, as it is now.
func stat(title, about string, queries ...query) panel {
	return panel{kind: kindStat, title: title, about: about, w: 4, h: 4, queries: queries, unitName: plain, steps: []step{{colour: blue}}}
}

// graph is figures over time.
func graph(title, about string, queries ...query) panel {
	return panel{kind: kindGraph, title: title, about: about, w: 8, h: 7, queries: queries, unitName: plain}
}

// timeline is a band for each series, coloured by its state.
func timeline(title, about string, states []state, queries ...query) panel {
	return panel{kind: kindTimeline, title: title, about: about, w: 12, h: 7, queries: queries, states: states}
}

// bars are figures side by side, as they are now.
func bars(title, about string, queries ...query) panel {
	return panel{kind: kindBars, title: title, about: about, w: 8, h: 7, queries: queries, unitName: plain, steps: []step{{colour: green}}}
}

// table has a line for each set of the labels in by, and a figure in each column.
func table(title, about string, by []column, columns ...column) panel {
	p := panel{kind: kindTable, title: title, about: about, w: 24, h: 8, by: by, columns: columns}
	for _, c := range columns {
		p.queries = append(p.queries, q(c.expr, ""))
	}
	return p
}

func (p panel) wide(w int) panel { p.w = w; return p }

func (p panel) unit(name string) panel { p.unitName = name; return p }

// whenNone is what stands there without data.
func (p panel) whenNone(text string) panel { p.noValue = text; return p }

// share is a fraction of a whole: the scale ends at 1.
func (p panel) share() panel {
	one := 1.0
	p.unitName, p.max = fraction, &one
	return p
}

// whole figures have no decimals.
func (p panel) whole() panel { p.decimals = new(float64); return p }

// means gives values a meaning.
func (p panel) means(states []state) panel { p.states = states; return p }

// worseFrom colours by two limits upwards: worth a look, and bad.
func (p panel) worseFrom(look, bad float64) panel { p.steps = rising(look, bad); return p }

// worseBelow colours by two limits downwards.
func (p panel) worseBelow(look, bad float64) panel { p.steps = falling(look, bad); return p }

// badFrom colours all from one limit on.
func (p panel) badFrom(bad float64) panel { p.steps = []step{{colour: green}, {&bad, red}}; return p }

func (p panel) stacked() panel { p.area = true; return p }

func (p panel) showNames() panel { p.named = true; return p }

func (p panel) sortedBy(header string) panel { p.firstDown = header; return p }

func rising(look, bad float64) []step {
	return []step{{colour: green}, {&look, yellow}, {&bad, red}}
}

func falling(look, bad float64) []step {
	return []step{{colour: red}, {&bad, yellow}, {&look, green}}
}

// yes and no are the states of what is 1 while it is well, and active of what is 1 while something is amiss.
var (
	yes    = []state{{"1", "yes", green}, {"0", "no", red}}
	leads  = []state{{"1", "leads", blue}, {"0", "follows", grey}}
	active = []state{{"1", "now", orange}, {"0", "no", grey}}
	firing = []state{{"1", "fires", red}}
	// conditions are neither good nor bad by themselves: Ready is True in a cluster that is well, Degraded is False.
	conditions = []state{{"1", "True", blue}, {"0", "False", grey}, {"-1", "Unknown", orange}}
	wellIfTrue = []state{{"1", "Yes", green}, {"0", "No", red}, {"-1", "Unknown", orange}}
)

// member and role name a line of a table of pods.
var byMember = []column{{header: "Member", expr: "member"}, {header: "Role", expr: "role"}}
