package dashboards

// tag is on all dashboards; the links at the top of each lead to those that have it.
const tag = "robustmq"

func (d definition) model() model {
	m := model{
		UID: uidPrefix + d.name, Title: d.title, Description: d.about, Tags: []string{tag}, Timezone: "browser",
		GraphTooltip:  1, // one cross hair for all panels
		SchemaVersion: schemaVersion, Refresh: "30s", Time: timeRange{"now-1h", "now"},
		Links: []link{{
			Title: "RobustMQ", Type: "dashboards", Icon: "external link", Tags: []string{tag}, AsDropdown: true, IncludeVars: true, KeepTime: true,
		}},
		Annotations: emptyList{[]string{}}, Panels: d.layOut(),
	}
	for _, v := range d.variables {
		m.Templating.List = append(m.Templating.List, v.model())
	}
	return m
}

func (v variable) model() variableModel {
	if v.values == "" {
		return variableModel{Type: "datasource", Name: v.name, Label: v.label, Query: prometheus.Type, Refresh: 1, Options: []chosen{}}
	}
	m := variableModel{
		Type: "query", Name: v.name, Label: v.label, Definition: v.values, Datasource: &prometheus,
		Query:   variableQuery{Type: 5, Query: v.values, RefID: "PrometheusVariableQueryEditor-VariableQuery"}, // 5: as it is written
		Refresh: 2, Sort: 1,                                                                                    // when the time changes; by name
		Options: []chosen{},
	}
	if v.all {
		m.IncludeAll, m.AllValue, m.Current = true, ".*", &chosen{true, "All", "$__all"}
	}
	return m
}

const gridWidth = 24

// layOut places the panels of each row from left to right, and numbers all.
func (d definition) layOut() []any {
	var list []any
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range d.rows {
		head := rowModel{Type: "row", ID: next(), Title: r.title, Collapsed: r.collapsed, GridPos: gridPos{0, y, gridWidth, 1}, Panels: []panelModel{}}
		y++
		below, x, tallest := y, 0, 0
		var panels []panelModel
		for _, p := range r.panels {
			if x+p.w > gridWidth {
				below, x, tallest = below+tallest, 0, 0
			}
			m := p.model()
			m.ID, m.GridPos = next(), gridPos{x, below, p.w, p.h}
			panels = append(panels, m)
			x, tallest = x+p.w, max(tallest, p.h)
		}
		if r.collapsed { // Grafana keeps the panels of a closed row inside it, and gives them room when it is opened
			head.Panels = panels
			list = append(list, head)
			continue
		}
		y = below + tallest
		list = append(list, head)
		for _, p := range panels {
			list = append(list, p)
		}
	}
	return list
}

func (p panel) model() panelModel {
	m := panelModel{
		Type: string(p.kind), Title: p.title, Description: p.about, Datasource: prometheus,
		FieldConfig: fieldConfig{
			Defaults: field{
				Unit: p.unitName, Max: p.max, Decimals: p.decimals, NoValue: p.noValue, Mappings: mappings(p.states), Thresholds: steps(p.steps),
			},
			Overrides: []override{},
		},
	}
	if p.max != nil {
		m.FieldConfig.Defaults.Min = new(float64)
	}
	for i, q := range p.queries {
		t := target{
			RefID: refID(i), Datasource: prometheus, EditorMode: "code", Expr: selectors.Replace(q.expr), Legend: q.legend, Format: "time_series", Range: true,
		}
		if p.kind != kindGraph && p.kind != kindTimeline {
			t.Instant, t.Range = true, false
		}
		if p.kind == kindTable {
			t.Format = "table"
		}
		m.Targets = append(m.Targets, t)
	}
	switch p.kind {
	case kindStat:
		p.asStat(&m)
	case kindGraph:
		p.asGraph(&m)
	case kindTimeline:
		p.asTimeline(&m)
	case kindBars:
		p.asBars(&m)
	case kindTable:
		p.asTable(&m)
	}
	return m
}

func refID(i int) string { return string(rune('A' + i)) }

func steps(list []step) *thresholds {
	if list == nil {
		list = []step{{colour: green}}
	}
	t := &thresholds{Mode: "absolute"}
	for _, s := range list {
		t.Steps = append(t.Steps, threshold{s.colour, s.from})
	}
	return t
}

func mappings(states []state) []mapping {
	if len(states) == 0 {
		return []mapping{}
	}
	m := mapping{Type: "value", Options: map[string]result{}}
	for i, s := range states {
		m.Options[s.value] = result{s.text, s.colour, i}
	}
	return []mapping{m}
}

func noLegend() map[string]any {
	return map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []string{}}
}

func newest() map[string]any {
	return map[string]any{"values": false, "calcs": []string{"lastNotNull"}, "fields": ""}
}

func (p panel) asStat(m *panelModel) {
	m.FieldConfig.Defaults.Color = &fieldColor{"thresholds"}
	text := "auto"
	if p.named {
		text = "name"
	}
	m.Options = map[string]any{
		"graphMode": "none", "colorMode": "value", "justifyMode": "auto", "textMode": text, "wideLayout": true, "showPercentChange": false,
		"percentChangeColorMode": "standard", "orientation": "auto", "reduceOptions": newest(),
	}
}

func (p panel) asGraph(m *panelModel) {
	m.FieldConfig.Defaults.Color = &fieldColor{"palette-classic"}
	fill, stack, line := 8, "none", "off"
	if p.area {
		fill, stack = 40, "normal"
	}
	if p.steps != nil {
		line = "dashed"
	}
	m.FieldConfig.Defaults.Custom = map[string]any{
		"drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "spanNulls": false, "axisSoftMin": 0,
		"stacking": map[string]any{"mode": stack, "group": "A"}, "thresholdsStyle": map[string]any{"mode": line},
	}
	m.Options = map[string]any{
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
}

func (p panel) asTimeline(m *panelModel) {
	m.FieldConfig.Defaults.Color = &fieldColor{"thresholds"}
	m.FieldConfig.Defaults.Thresholds = steps([]step{{colour: grey}})
	m.FieldConfig.Defaults.Custom = map[string]any{"fillOpacity": 80, "lineWidth": 0}
	m.Options = map[string]any{
		"showValue": "never", "rowHeight": 0.85, "mergeValues": true, "alignValue": "left",
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "single", "sort": "none"},
	}
}

func (p panel) asBars(m *panelModel) {
	m.FieldConfig.Defaults.Color = &fieldColor{"thresholds"}
	if m.FieldConfig.Defaults.Min == nil {
		m.FieldConfig.Defaults.Min = new(float64)
	}
	m.Options = map[string]any{
		"displayMode": "basic", "valueMode": "color", "namePlacement": "left", "showUnfilled": true, "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 300,
		"orientation": "horizontal", "legend": noLegend(), "reduceOptions": newest(),
	}
}

// asTable joins the answers of all queries by their labels, and orders and renames what comes of it.
func (p panel) asTable(m *panelModel) {
	index, names, hidden := map[string]any{}, map[string]any{}, map[string]any{"Time": true}
	for i, c := range p.by {
		index[c.expr], names[c.expr] = i, c.header
	}
	for i, c := range p.columns {
		value := "Value #" + refID(i)
		if c.header == "" { // asked for its labels
			hidden[value] = true
			continue
		}
		index[value], names[value] = len(p.by)+i, c.header
		o := override{Matcher: matcher{"byName", c.header}, Properties: []property{{"unit", c.unit}}}
		if c.unit == "" {
			o.Properties[0].Value = plain
		}
		if c.states != nil {
			o.Properties = append(o.Properties, property{"mappings", mappings(c.states)})
		}
		if c.steps != nil {
			o.Properties = append(o.Properties, property{"thresholds", steps(c.steps)})
		}
		if c.states != nil || c.steps != nil {
			o.Properties = append(o.Properties, property{"custom.cellOptions", map[string]any{"type": "color-text"}})
		}
		m.FieldConfig.Overrides = append(m.FieldConfig.Overrides, o)
	}
	m.FieldConfig.Defaults.Color = &fieldColor{"thresholds"}
	m.FieldConfig.Defaults.Custom = map[string]any{"align": "left", "cellOptions": map[string]any{"type": "auto"}, "inspect": false}
	m.Options = map[string]any{"frameIndex": 0, "showHeader": true, "cellHeight": "sm", "sortBy": []map[string]any{{"displayName": p.by[0].header, "desc": false}}}
	if p.firstDown != "" {
		m.Options["sortBy"] = []map[string]any{{"displayName": p.firstDown, "desc": true}}
	}
	m.Transformations = []transformation{
		{"merge", map[string]any{}},
		{"organize", map[string]any{"indexByName": index, "renameByName": names, "excludeByName": hidden}},
	}
}
