package main

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// stat writes one figure large; several stand side by side with their names.
func (p panel) stat(s sheet, all []series) {
	f := p.FieldConfig.Defaults
	slices.SortStableFunc(all, func(a, b series) int { return cmp.Compare(a.name, b.name) })
	wide := s.w / float64(len(all))
	for i, one := range all {
		v := one.last()
		text, middle := f.text(v), float64(i)*wide+wide/2
		if p.Options.TextMode == "name" {
			text = one.name
		} else if one.name != "" && len(all) > 1 {
			s.write(middle, 8, 10.5, faint, centre, false, cut(10.5, false, wide-6, one.name))
		}
		size := 34.0
		for size > 11 && width(size, true, text) > wide-8 {
			size--
		}
		s.write(middle, s.h/2+6, size, colourOf(f.colour(v)), centre, true, text)
	}
}

// bars are drawn from left to right, one below the other.
func (p panel) bars(s sheet, all []series) {
	f := p.FieldConfig.Defaults
	slices.SortStableFunc(all, func(a, b series) int { return cmp.Compare(a.name, b.name) })
	most := 0.0
	names := 0.0
	for _, one := range all {
		most = math.Max(most, one.last())
		names = math.Max(names, width(11.5, false, one.name))
	}
	if f.Max != nil {
		most = *f.Max
	}
	names = math.Min(names, s.w*0.4) + 10
	high := math.Min(s.h/float64(len(all)), 44)
	room := s.w - names - 90
	for i, one := range all {
		v, y := one.last(), float64(i)*high
		c := colourOf(f.colour(v))
		s.write(0, y+high/2, 11.5, ink, left, false, cut(11.5, false, names-8, one.name))
		s.box(names, y+3, room, high-6, gridLine)
		if most > 0 && v > 0 {
			s.box(names, y+3, room*math.Min(v/most, 1), high-6, c)
		}
		s.write(s.w, y+high/2, 12.5, c, right, true, f.text(v))
	}
}

// timeline draws a band for each series, coloured by what it was when.
func (p panel) timeline(s sheet, all []series, v view) {
	f := p.FieldConfig.Defaults
	slices.SortStableFunc(all, func(a, b series) int { return cmp.Compare(a.name, b.name) })
	names := 0.0
	for _, one := range all {
		names = math.Max(names, width(11, false, one.name))
	}
	names = math.Min(names, s.w*0.35) + 14
	below := 18.0 // the axis, and what the colours mean
	key := 18.0
	room, tall := s.w-names, s.h-below-key
	high := tall / float64(len(all))
	step := v.step()
	for i, one := range all {
		y := float64(i) * high
		size := math.Min(11, math.Max(7, high-2))
		s.write(names-8, y+high/2, size, ink, right, false, cut(size, false, names-12, one.name))
		for _, stretch := range states(one.points, step) {
			from, to := math.Max(0, v.share(stretch.from)), math.Min(1, v.share(stretch.to))
			s.box(names+from*room, y+high*0.08, (to-from)*room, high*0.84, colourOf(f.colour(stretch.value)))
		}
	}
	bottom := float64(len(all)) * high
	for _, at := range v.marks(int(room / 90)) {
		x := names + v.share(at)*room
		s.line(x, 0, x, bottom+3, gridLine)
		if half := width(10.5, false, v.clock(at)) / 2; x+half <= s.w {
			s.write(x, bottom+11, 10.5, faint, centre, false, v.clock(at))
		}
	}
	x := 0.0
	for _, m := range f.Mappings {
		for _, value := range []float64{1, 0, -1} {
			if text, c, ok := f.meaning(value); ok && len(m.Options) > 0 {
				s.box(x, s.h-key/2-1, 13, 3, colourOf(c))
				s.write(x+18, s.h-key/2, 10.5, ink, left, false, text)
				x += 34 + width(10.5, false, text)
			}
		}
	}
}

type stretch struct {
	from, to time.Time
	value    float64
}

// states joins neighbours of the same value.
func states(points []model.SamplePair, step time.Duration) []stretch {
	var list []stretch
	for _, p := range points {
		at, value := p.Timestamp.Time(), float64(p.Value)
		if n := len(list); n > 0 && !at.After(list[n-1].to.Add(step/2)) {
			list[n-1].to = at
			if list[n-1].value == value {
				list[n-1].to = at.Add(step)
				continue
			}
		}
		list = append(list, stretch{at, at.Add(step), value})
	}
	return list
}
