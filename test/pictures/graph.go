package main

import (
	"cmp"
	"image/color"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	legendHigh = 16.0
	legendRows = 3
)

// graph draws series over time, with their names below.
func (p panel) graph(s sheet, all []series, v view) {
	f := p.FieldConfig.Defaults
	slices.SortStableFunc(all, func(a, b series) int { return cmp.Compare(a.name, b.name) })
	used := legend(s, all)
	plt := plot.New()
	plt.BackgroundColor = surface
	plt.X.Min, plt.X.Max = float64(v.From.Unix()), float64(v.To.Unix())
	lines, most, least := p.lines(all, v.step())
	plt.Y.Min, plt.Y.Max = math.Min(0, least), most
	if f.Max != nil {
		plt.Y.Max = *f.Max
	}
	if plt.Y.Max <= plt.Y.Min {
		plt.Y.Max = plt.Y.Min + 1
	}
	size := sizeOf(math.Max(plt.Y.Max, -plt.Y.Min), f.Unit).from // round in what the values are written in: 1 KiB, 1 min
	marks := nice(plt.Y.Min/size, plt.Y.Max/size, int(s.h/45))
	for i := range marks {
		marks[i] *= size
	}
	if f.Max == nil { // up to the next mark, so that the line does not end at the edge
		plt.Y.Max = math.Max(plt.Y.Max*1.05, marks[len(marks)-1])
	}
	p.axes(plt, v, marks, int(s.w/90))
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridLine, gridLine
	plt.Add(grid)
	for _, l := range lines {
		plt.Add(l)
	}
	if f.Custom.ThresholdsStyle.Mode == "dashed" {
		for _, t := range f.Thresholds.Steps {
			if t.Value == nil || *t.Value > plt.Y.Max {
				continue
			}
			plt.Add(&plotter.Line{
				XYs:       plotter.XYs{{X: plt.X.Min, Y: *t.Value}, {X: plt.X.Max, Y: *t.Value}},
				LineStyle: draw.LineStyle{Color: colourOf(t.Color), Width: 1, Dashes: []vg.Length{5, 4}},
			})
		}
	}
	plt.Draw(s.part(0, 0, s.w, s.h-used).canvas)
}

// lines of all series, cut where there is no data; stacked ones are laid on one another, the highest first so that the lower ones cover it.
func (p panel) lines(all []series, step time.Duration) (lines []plot.Plotter, most, least float64) {
	stacked := p.FieldConfig.Defaults.Custom.Stacking.Mode == "normal"
	below := map[int64]float64{}
	for i, s := range all {
		c := palette[i%len(palette)]
		for _, stretch := range stretches(s, step) {
			for j := range stretch {
				if stacked {
					at := int64(stretch[j].X)
					stretch[j].Y += below[at]
					below[at] = stretch[j].Y
				}
				most, least = math.Max(most, stretch[j].Y), math.Min(least, stretch[j].Y)
			}
			l := &plotter.Line{XYs: stretch, LineStyle: draw.LineStyle{Color: c, Width: 1.2}}
			if stacked {
				l.FillColor = over(c)
			} else if len(all) <= 4 {
				l.FillColor = faded(c, 22)
			}
			lines = append(lines, l)
		}
	}
	if stacked {
		slices.Reverse(lines)
	}
	return lines, most, least
}

// over is a colour half as strong on the panel, without letting what lies below through.
func over(c color.Color) color.Color {
	n, b := color.NRGBAModel.Convert(c).(color.NRGBA), surface
	mix := func(x, y uint8) uint8 { return uint8((int(x)*2 + int(y)*3) / 5) }
	return color.NRGBA{mix(n.R, b.R), mix(n.G, b.G), mix(n.B, b.B), 255}
}

func stretches(s series, step time.Duration) []plotter.XYs {
	var list []plotter.XYs
	var last time.Time
	for _, p := range s.points {
		y := float64(p.Value)
		if math.IsNaN(y) || math.IsInf(y, 0) {
			continue
		}
		at := p.Timestamp.Time()
		if len(list) == 0 || at.Sub(last) > step+step/2 {
			list = append(list, nil)
		}
		last = at
		list[len(list)-1] = append(list[len(list)-1], plotter.XY{X: float64(at.Unix()), Y: y})
	}
	return list
}

func (p panel) axes(plt *plot.Plot, v view, marks []float64, count int) {
	for _, a := range []*plot.Axis{&plt.X, &plt.Y} {
		a.LineStyle.Width, a.Padding = 0, 0
		a.Tick.Length, a.Tick.LineStyle.Width = 4, 0
		align := a.Tick.Label
		a.Tick.Label = style(10.5, faint, false)
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = align.XAlign, align.YAlign
	}
	var x []plot.Tick
	for _, at := range v.marks(max(count, 2)) {
		x = append(x, plot.Tick{Value: float64(at.Unix()), Label: v.clock(at)})
	}
	plt.X.Tick.Marker = plot.ConstantTicks(x)
	var y []plot.Tick
	for _, m := range marks {
		y = append(y, plot.Tick{Value: m, Label: inUnit(m, p.FieldConfig.Defaults.Unit, nil)})
	}
	plt.Y.Tick.Marker = plot.ConstantTicks(y)
}

// nice are round values from least to most, about count of them.
func nice(least, most float64, count int) []float64 {
	raw := (most - least) / float64(max(count, 2))
	apart := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, times := range []float64{1, 2, 5, 10} {
		if apart*times >= raw {
			apart *= times
			break
		}
	}
	var list []float64
	for m := math.Ceil(least/apart) * apart; m <= most+apart*0.999 && len(list) < 20; m += apart {
		list = append(list, math.Round(m/apart)*apart)
	}
	return list
}

// legend writes the names of the series into the lowest lines, and returns how high they are. What has no room is counted.
func legend(s sheet, all []series) float64 {
	type place struct {
		x   float64
		row int
	}
	var places []place
	x, row := 0.0, 0
	for _, one := range all {
		w := 20 + width(10.5, false, cut(10.5, false, s.w-30, one.name)) + 12
		if x > 0 && x+w > s.w {
			x, row = 0, row+1
		}
		if row == legendRows {
			break
		}
		places = append(places, place{x, row})
		x += w
	}
	rows := min(row+1, legendRows)
	high := float64(rows) * legendHigh
	for i, at := range places {
		y := s.h - high + float64(at.row)*legendHigh + legendHigh/2 + 2
		s.box(at.x, y-1.5, 13, 3, palette[i%len(palette)])
		s.write(at.x+18, y, 10.5, ink, left, false, cut(10.5, false, s.w-30, all[i].name))
	}
	return high + 4
}
