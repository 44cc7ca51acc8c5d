package main

import (
	"fmt"
	"image/color"
	"io"
	"os"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Colours of Grafana's dark theme.
var (
	background = rgb(0x111217)
	surface    = rgb(0x181b1f)
	border     = rgb(0x2c3235)
	gridLine   = rgb(0x2a2d33)
	ink        = rgb(0xccccdc)
	faint      = rgb(0x8e8e99)

	named = map[string]color.Color{
		"green": rgb(0x73bf69), "yellow": rgb(0xf2cc0c), "red": rgb(0xf2495c), "blue": rgb(0x5794f2), "orange": rgb(0xff9830), "": rgb(0x73bf69),
	}
	palette = []color.Color{
		rgb(0x73bf69), rgb(0xf2cc0c), rgb(0x8ab8ff), rgb(0xff780a), rgb(0xf2495c), rgb(0x5794f2), rgb(0xb877d9), rgb(0x705da0), rgb(0x37872d), rgb(0xfade2a), rgb(0x447ebc), rgb(0xc15c17),
		rgb(0x890f02), rgb(0x0a437c), rgb(0x6d1f62), rgb(0x584477),
	}
)

func rgb(v uint32) color.NRGBA { return color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255} }

func faded(c color.Color, alpha uint8) color.Color {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	n.A = alpha
	return n
}

// colourOf is Grafana's name of a colour, or #rrggbb.
func colourOf(name string) color.Color {
	if c, ok := named[name]; ok {
		return c
	}
	var v uint32
	if _, err := fmt.Sscanf(name, "#%06x", &v); err == nil {
		return rgb(v)
	}
	return ink
}

// sheet is a part of the picture. Lengths are pixels, and count from its upper left corner.
type sheet struct {
	canvas draw.Canvas
	w, h   float64
}

func newSheet(w, h float64) (sheet, vgimg.PngCanvas) {
	c := vgimg.NewWith(vgimg.UseWH(vg.Length(w), vg.Length(h)), vgimg.UseDPI(72), vgimg.UseBackgroundColor(background))
	return sheet{draw.New(c), w, h}, vgimg.PngCanvas{Canvas: c}
}

func (s sheet) part(x, y, w, h float64) sheet {
	c := s.canvas
	c.Min = vg.Point{X: s.canvas.Min.X + vg.Length(x), Y: s.canvas.Max.Y - vg.Length(y+h)}
	c.Max = vg.Point{X: c.Min.X + vg.Length(w), Y: c.Min.Y + vg.Length(h)}
	return sheet{c, w, h}
}

func (s sheet) point(x, y float64) vg.Point {
	return vg.Point{X: s.canvas.Min.X + vg.Length(x), Y: s.canvas.Max.Y - vg.Length(y)}
}

func (s sheet) box(x, y, w, h float64, fill color.Color) {
	if w <= 0 || h <= 0 {
		return
	}
	s.canvas.FillPolygon(fill, []vg.Point{s.point(x, y), s.point(x+w, y), s.point(x+w, y+h), s.point(x, y+h)})
}

func (s sheet) line(x0, y0, x1, y1 float64, c color.Color) {
	a, b := s.point(x0, y0), s.point(x1, y1)
	s.canvas.StrokeLine2(draw.LineStyle{Color: c, Width: 1}, a.X, a.Y, b.X, b.Y)
}

type alignment = text.XAlignment

const (
	left   = text.XLeft
	centre = text.XCenter
	right  = text.XRight
)

func style(size float64, c color.Color, bold bool) text.Style {
	st := text.Style{Color: c, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Length(size)}, YAlign: text.YCenter, Handler: plot.DefaultTextHandler}
	if bold {
		st.Font.Weight = xfont.WeightBold
	}
	return st
}

// write puts text at x, its middle at y.
func (s sheet) write(x, y, size float64, c color.Color, at alignment, bold bool, what string) {
	st := style(size, c, bold)
	st.XAlign = at
	s.canvas.FillText(st, s.point(x, y), what)
}

func width(size float64, bold bool, what string) float64 {
	return float64(style(size, ink, bold).Width(what))
}

// cut shortens text to a width, with … at its end.
func cut(size float64, bold bool, most float64, what string) string {
	if width(size, bold, what) <= most {
		return what
	}
	runes := []rune(what)
	for len(runes) > 0 && width(size, bold, string(runes)+"…") > most {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

func save(file string, picture io.WriterTo) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := picture.WriteTo(f); err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return f.Close()
}
