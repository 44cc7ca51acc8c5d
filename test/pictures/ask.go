package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// source answers expressions.
type source interface {
	now(ctx context.Context, expr string, at time.Time) (model.Vector, error)
	over(ctx context.Context, expr string, r v1.Range) (model.Matrix, error)
}

// view is what is chosen at the top of a dashboard.
type view struct {
	Namespace, Cluster string
	From, To           time.Time
	// Scrape is how often Prometheus scrapes.
	Scrape time.Duration
}

// points a graph has at most.
const points = 240

func (v view) step() time.Duration {
	return max(v.To.Sub(v.From)/points, v.Scrape/2).Round(time.Second)
}

// fill puts in what Grafana puts in for its variables.
func (v view) fill(expr string) string {
	span := func(d time.Duration) string { return fmt.Sprintf("%ds", int(d.Seconds())) }
	return strings.NewReplacer(
		"$__rate_interval", span(max(4*v.Scrape, v.step()+v.Scrape)),
		"$__range", span(v.To.Sub(v.From)),
		"$__interval", span(v.step()),
		"$namespace", v.Namespace,
		"$cluster", v.Cluster,
	).Replace(expr)
}

// answer to one expression of a panel.
type answer struct {
	target target
	series []series
}

type series struct {
	name   string
	labels model.Metric
	points []model.SamplePair
}

func (s series) last() float64 { return float64(s.points[len(s.points)-1].Value) }

// ask for what every panel shows. Panels are told apart by their numbers.
func (b board) ask(ctx context.Context, from source, v view) (map[int][]answer, error) {
	all := map[int][]answer{}
	for _, p := range b.Panels {
		for _, t := range p.Targets {
			a, err := t.ask(ctx, from, v)
			if err != nil {
				return nil, fmt.Errorf("panel %q: %s: %w", p.Title, t.Expr, err)
			}
			all[p.ID] = append(all[p.ID], a)
		}
	}
	return all, nil
}

func (t target) ask(ctx context.Context, from source, v view) (answer, error) {
	a, expr := answer{target: t}, v.fill(t.Expr)
	if t.Instant {
		vector, err := from.now(ctx, expr, v.To)
		for _, s := range vector {
			a.series = append(a.series, series{t.name(s.Metric), s.Metric, []model.SamplePair{{Timestamp: s.Timestamp, Value: s.Value}}})
		}
		return a, err
	}
	matrix, err := from.over(ctx, expr, v1.Range{Start: v.From, End: v.To, Step: v.step()})
	for _, s := range matrix {
		a.series = append(a.series, series{t.name(s.Metric), s.Metric, s.Values})
	}
	return a, err
}

var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

func (t target) name(m model.Metric) string {
	if t.LegendFormat == "" {
		return ""
	}
	return strings.TrimSpace(placeholder.ReplaceAllStringFunc(t.LegendFormat, func(s string) string {
		return string(m[model.LabelName(placeholder.FindStringSubmatch(s)[1])])
	}))
}

// server is a Prometheus.
type server struct{ api v1.API }

func open(address string) (source, error) {
	c, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return nil, fmt.Errorf("-prometheus: %w", err)
	}
	return server{v1.NewAPI(c)}, nil
}

func (s server) now(ctx context.Context, expr string, at time.Time) (model.Vector, error) {
	value, _, _, err := s.api.Query(ctx, expr, at, v1.WithTimeout(30*time.Second))
	if err != nil {
		return nil, err
	}
	switch v := value.(type) {
	case model.Vector:
		return v, nil
	case *model.Scalar:
		return model.Vector{{Value: v.Value, Timestamp: v.Timestamp}}, nil
	}
	return nil, fmt.Errorf("it is a %s, no instant vector", value.Type())
}

func (s server) over(ctx context.Context, expr string, r v1.Range) (model.Matrix, error) {
	value, _, _, err := s.api.QueryRange(ctx, expr, r, v1.WithTimeout(30*time.Second))
	if err != nil {
		return nil, err
	}
	m, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("it is a %s, no range of vectors", value.Type())
	}
	return m, nil
}
