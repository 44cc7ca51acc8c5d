package dashboards

// model is the part of Grafana's JSON that is used here. Its schema version is that of Grafana 10.3; later ones carry it over to theirs when they load it.
type model struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	Timezone      string     `json:"timezone"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"`
	SchemaVersion int        `json:"schemaVersion"`
	Refresh       string     `json:"refresh"`
	Time          timeRange  `json:"time"`
	Links         []link     `json:"links"`
	Annotations   emptyList  `json:"annotations"`
	Templating    templating `json:"templating"`
	Panels        []any      `json:"panels"`
}

const schemaVersion = 39

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type emptyList struct {
	List []string `json:"list"`
}

type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	TargetBlank bool     `json:"targetBlank"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
}

type templating struct {
	List []variableModel `json:"list"`
}

type variableModel struct {
	Type       string      `json:"type"`
	Name       string      `json:"name"`
	Label      string      `json:"label"`
	Query      any         `json:"query"`
	Definition string      `json:"definition,omitempty"`
	Datasource *datasource `json:"datasource,omitempty"`
	Refresh    int         `json:"refresh"`
	Sort       int         `json:"sort"`
	Multi      bool        `json:"multi"`
	IncludeAll bool        `json:"includeAll"`
	AllValue   string      `json:"allValue,omitempty"`
	Current    *chosen     `json:"current,omitempty"`
	Options    []chosen    `json:"options"`
	Regex      string      `json:"regex"`
}

type variableQuery struct {
	Type  int    `json:"qryType"`
	Query string `json:"query"`
	RefID string `json:"refId"`
}

type chosen struct {
	Selected bool   `json:"selected"`
	Text     string `json:"text"`
	Value    string `json:"value"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

var prometheus = datasource{Type: "prometheus", UID: "${datasource}"}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type rowModel struct {
	Type      string       `json:"type"`
	ID        int          `json:"id"`
	Title     string       `json:"title"`
	Collapsed bool         `json:"collapsed"`
	GridPos   gridPos      `json:"gridPos"`
	Panels    []panelModel `json:"panels"`
}

type panelModel struct {
	Type            string           `json:"type"`
	ID              int              `json:"id"`
	Title           string           `json:"title"`
	Description     string           `json:"description"`
	GridPos         gridPos          `json:"gridPos"`
	Datasource      datasource       `json:"datasource"`
	Targets         []target         `json:"targets"`
	FieldConfig     fieldConfig      `json:"fieldConfig"`
	Options         map[string]any   `json:"options"`
	Transformations []transformation `json:"transformations,omitempty"`
}

type target struct {
	RefID      string     `json:"refId"`
	Datasource datasource `json:"datasource"`
	EditorMode string     `json:"editorMode"`
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat"`
	Format     string     `json:"format"`
	Instant    bool       `json:"instant"`
	Range      bool       `json:"range"`
}

type fieldConfig struct {
	Defaults  field      `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type field struct {
	Unit       string         `json:"unit,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	Decimals   *float64       `json:"decimals,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      *fieldColor    `json:"color,omitempty"`
	Mappings   []mapping      `json:"mappings"`
	Thresholds *thresholds    `json:"thresholds,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type fieldColor struct {
	Mode string `json:"mode"`
}

type mapping struct {
	Type    string            `json:"type"`
	Options map[string]result `json:"options"`
}

type result struct {
	Text  string `json:"text"`
	Color string `json:"color"`
	Index int    `json:"index"`
}

type thresholds struct {
	Mode  string      `json:"mode"`
	Steps []threshold `json:"steps"`
}

// threshold of the lowest step has the value null.
type threshold struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

type override struct {
	Matcher    matcher    `json:"matcher"`
	Properties []property `json:"properties"`
}

type matcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

type transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}
