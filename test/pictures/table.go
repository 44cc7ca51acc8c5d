package main

import (
	"cmp"
	"encoding/json"
	"image/color"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
)

// heading is a column of a table: a label, or the value of one expression.
type heading struct {
	title, label, ref string
	field             field
}

// headings are what the panel's transformation `organize` leaves, in its order.
func (p panel) headings() []heading {
	var list []heading
	for _, t := range p.Transformations {
		if t.ID != "organize" {
			continue
		}
		for name := range t.Options.IndexByName {
			h := heading{title: t.Options.RenameByName[name], label: name}
			if ref, ok := strings.CutPrefix(name, "Value #"); ok {
				h.ref, h.label = ref, ""
			}
			if !t.Options.ExcludeByName[name] {
				list = append(list, h)
			}
		}
		slices.SortFunc(list, func(a, b heading) int { return t.Options.IndexByName[a.key()] - t.Options.IndexByName[b.key()] })
	}
	for i := range list {
		list[i].field = p.fieldOf(list[i].title)
	}
	return list
}

func (h heading) key() string {
	if h.ref != "" {
		return "Value #" + h.ref
	}
	return h.label
}

// fieldOf is how a column is written: the panel's own way, with what is set for the column.
func (p panel) fieldOf(title string) field {
	f := p.FieldConfig.Defaults
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.Options != title {
			continue
		}
		for _, property := range o.Properties {
			var into any
			switch property.ID {
			case "unit":
				into = &f.Unit
			case "mappings":
				into = &f.Mappings
			case "thresholds":
				into = &f.Thresholds
			default:
				continue
			}
			_ = json.Unmarshal(property.Value, into) // a value of another form leaves the panel's own
		}
	}
	return f
}

// line of a table: its labels, and its values by the letters of the expressions.
type line struct {
	labels model.Metric
	values map[string]float64
}

// merge joins the answers of all expressions by the labels that name a line, as Grafana's transformation of that name does.
func merge(answers []answer, by []heading) []line {
	byKey := map[string]*line{}
	var order []string
	for _, a := range answers {
		for _, s := range a.series {
			key := ""
			for _, h := range by {
				if h.label != "" && everywhere(answers, model.LabelName(h.label)) {
					key += string(s.labels[model.LabelName(h.label)]) + "\x00"
				}
			}
			l := byKey[key]
			if l == nil {
				l = &line{model.Metric{}, map[string]float64{}}
				byKey[key] = l
				order = append(order, key)
			}
			for name, value := range s.labels {
				l.labels[name] = value
			}
			l.values[a.target.RefID] = s.last()
		}
	}
	slices.Sort(order)
	var lines []line
	for _, k := range order {
		lines = append(lines, *byKey[k])
	}
	return lines
}

// everywhere: all answers have the label. One that only some have is no part of what names a line.
func everywhere(answers []answer, label model.LabelName) bool {
	for _, a := range answers {
		for _, s := range a.series {
			if _, ok := s.labels[label]; !ok {
				return false
			}
		}
	}
	return true
}

func (p panel) table(s sheet, answers []answer) {
	columns := p.headings()
	lines := merge(answers, columns)
	if len(p.Options.SortBy) > 0 && p.Options.SortBy[0].Desc {
		for _, c := range columns {
			if c.title == p.Options.SortBy[0].DisplayName {
				slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(b.values[c.ref], a.values[c.ref]) })
			}
		}
	}
	const high = 24.0
	wide := s.w / float64(len(columns))
	s.line(0, high, s.w, high, border)
	for i, c := range columns {
		x := float64(i) * wide
		s.write(x+4, high/2, 11.5, named["blue"], left, true, cut(11.5, true, wide-8, c.title))
		for j, l := range lines {
			y := high + float64(j)*high
			if y+high > s.h {
				break
			}
			if c.ref == "" {
				s.write(x+4, y+high/2, 11.5, ink, left, false, cut(11.5, false, wide-8, string(l.labels[model.LabelName(c.label)])))
				continue
			}
			v, ok := l.values[c.ref]
			if !ok || math.IsNaN(v) {
				continue
			}
			var paint color.Color = ink
			if len(c.field.Mappings) > 0 || len(c.field.Thresholds.Steps) > 1 {
				paint = colourOf(c.field.colour(v))
			}
			s.write(x+4, y+high/2, 11.5, paint, left, false, cut(11.5, false, wide-8, c.field.text(v)))
			s.line(0, y+high, s.w, y+high, gridLine)
		}
	}
}
