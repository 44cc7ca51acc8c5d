package main

import (
	"fmt"
	"time"
)

// Lengths in pixels: as in Grafana at a width of 1600.
const (
	columns   = 24
	pageWidth = 1600.0
	margin    = 12.0
	gap       = 8.0
	unitHigh  = 34.0 // one unit of the grid, the gap included
	headHigh  = 48.0
	titleHigh = 28.0
)

// writePicture draws a dashboard with what was answered.
func writePicture(file string, b board, answers map[int][]answer, v view) error {
	high := headHigh + float64(b.height)*unitHigh + margin
	page, picture := newSheet(pageWidth, high)
	page.write(margin, headHigh/2, 18, ink, left, true, b.Title)
	page.write(pageWidth-margin, headHigh/2, 12, faint, right, false,
		fmt.Sprintf("namespace %s    cluster %s    %s to %s UTC", v.Namespace, v.Cluster, v.From.UTC().Format("2006-01-02 15:04"), v.To.UTC().Format("15:04")))
	wide := (pageWidth - 2*margin + gap) / columns
	for _, r := range b.rows {
		y := headHigh + float64(r.y)*unitHigh
		page.write(margin+2, y+unitHigh/2, 14, ink, left, true, r.title)
		page.line(margin, y+unitHigh-5, pageWidth-margin, y+unitHigh-5, border)
	}
	for _, p := range b.Panels {
		g := p.GridPos
		part := page.part(margin+float64(g.X)*wide, headHigh+float64(g.Y)*unitHigh, float64(g.W)*wide-gap, float64(g.H)*unitHigh-gap)
		p.draw(part, answers[p.ID], v)
	}
	return save(file, picture)
}

func (p panel) draw(s sheet, answers []answer, v view) {
	s.box(0, 0, s.w, s.h, border)
	s.box(1, 1, s.w-2, s.h-2, surface)
	s.write(10, titleHigh/2+1, 12, ink, left, true, cut(12, true, s.w-20, p.Title))
	inside := s.part(10, titleHigh, s.w-20, s.h-titleHigh-8)
	var all []series
	for _, a := range answers {
		all = append(all, a.series...)
	}
	if len(all) == 0 {
		none := "No data"
		if p.FieldConfig.Defaults.NoValue != "" {
			none = p.FieldConfig.Defaults.NoValue
		}
		inside.write(inside.w/2, inside.h/2, 15, faint, centre, false, none)
		return
	}
	switch p.Type {
	case "stat":
		p.stat(inside, all)
	case "timeseries":
		p.graph(inside, all, v)
	case "state-timeline":
		p.timeline(inside, all, v)
	case "bargauge":
		p.bars(inside, all)
	case "table":
		p.table(inside, answers)
	default:
		inside.write(inside.w/2, inside.h/2, 13, faint, centre, false, "a panel of kind "+p.Type+" is not drawn")
	}
}

// share of the shown time that has passed at a moment.
func (v view) share(at time.Time) float64 { return float64(at.Sub(v.From)) / float64(v.To.Sub(v.From)) }

// marks are moments for an axis, about count of them, at round times.
func (v view) marks(count int) []time.Time {
	span := v.To.Sub(v.From)
	apart := 24 * time.Hour
	for _, d := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour} {
		if span/d <= time.Duration(count) {
			apart = d
			break
		}
	}
	var list []time.Time
	for at := v.From.Truncate(apart).Add(apart); !at.After(v.To); at = at.Add(apart) {
		list = append(list, at)
	}
	return list
}

// clock writes a moment for an axis.
func (v view) clock(at time.Time) string {
	if v.To.Sub(v.From) < 3*time.Minute {
		return at.UTC().Format("15:04:05")
	}
	return at.UTC().Format("15:04")
}
