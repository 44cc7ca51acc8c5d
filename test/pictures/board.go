package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// board is what is drawn of a dashboard.
type board struct {
	Title  string
	Panels []panel
	rows   []headline
	height int // in units of Grafana's grid
}

type headline struct {
	title string
	y     int
}

type panel struct {
	ID          int
	Type, Title string
	Collapsed   bool
	GridPos     struct{ X, Y, W, H int }
	Targets     []target
	FieldConfig struct {
		Defaults  field
		Overrides []struct {
			Matcher    struct{ Options string }
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
	Options struct {
		TextMode string
		SortBy   []struct {
			DisplayName string
			Desc        bool
		}
	}
	Transformations []struct {
		ID      string
		Options struct {
			IndexByName   map[string]int
			RenameByName  map[string]string
			ExcludeByName map[string]bool
		}
	}
	Panels []panel

	row string
}

type target struct {
	RefID, Expr, LegendFormat string
	Instant                   bool
}

// field is how a value is written and coloured.
type field struct {
	Unit, NoValue string
	Min, Max      *float64
	Decimals      *int
	Mappings      []struct {
		Options map[string]struct{ Text, Color string }
	}
	Thresholds struct {
		Steps []struct {
			Color string
			Value *float64
		}
	}
	Custom struct {
		Stacking        struct{ Mode string }
		ThresholdsStyle struct{ Mode string }
	}
}

func readBoard(file string) (board, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return board{}, err
	}
	var whole struct {
		Title  string
		Panels []panel
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return board{}, fmt.Errorf("reading %s: %w", file, err)
	}
	b := board{Title: whole.Title}
	below, row := 0, "" // below: how much further down everything is, because closed rows are drawn open
	place := func(p panel) {
		p.GridPos.Y += below
		p.row = row
		b.Panels = append(b.Panels, p)
		b.height = max(b.height, p.GridPos.Y+p.GridPos.H)
	}
	for _, p := range whole.Panels {
		if p.Type != "row" {
			place(p)
			continue
		}
		row = p.Title
		b.rows = append(b.rows, headline{p.Title, p.GridPos.Y + below})
		b.height = max(b.height, p.GridPos.Y+below+1)
		last := 0
		for _, inside := range p.Panels {
			place(inside)
			last = max(last, inside.GridPos.Y+inside.GridPos.H)
		}
		if last > 0 {
			below += last - p.GridPos.Y - 1
		}
	}
	return b, nil
}

// colour of a value: of its meaning if it has one, else of the highest limit that it reaches.
func (f field) colour(v float64) string {
	if _, c, ok := f.meaning(v); ok {
		return c
	}
	c := ""
	for _, s := range f.Thresholds.Steps {
		if s.Value == nil || v >= *s.Value {
			c = s.Color
		}
	}
	return c
}

func (f field) meaning(v float64) (text, colour string, ok bool) {
	for _, m := range f.Mappings {
		if r, ok := m.Options[fmt.Sprint(v)]; ok {
			return r.Text, r.Color, true
		}
	}
	return "", "", false
}

// text is a value as Grafana writes it.
func (f field) text(v float64) string {
	if text, _, ok := f.meaning(v); ok {
		return text
	}
	return inUnit(v, f.Unit, f.Decimals)
}
