package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// store appends what was scraped as Prometheus does: with the target's labels, with `up`, and with a mark where a series is no longer in its target's answer.
func store(ctx context.Context, db *tsdb.DB, scrapes []scrape) error {
	before := map[uint64]map[uint64]labels.Labels{} // target -> series of its last answer
	for _, s := range scrapes {
		target := labels.FromMap(s.Target)
		app := db.Appender(ctx)
		seen, err := appendAnswer(app, s)
		if err != nil {
			return errors.Join(fmt.Errorf("the answer of %s at %v: %w", target, s.At, err), app.Rollback())
		}
		key := target.Hash()
		for series, l := range before[key] {
			if _, still := seen[series]; !still {
				if _, err := app.Append(0, l, at(s.At).UnixMilli(), math.Float64frombits(value.StaleNaN)); err != nil {
					return errors.Join(fmt.Errorf("mark %s: %w", l, err), app.Rollback())
				}
			}
		}
		before[key] = seen
		if err := app.Commit(); err != nil {
			return fmt.Errorf("the answer of %s at %v: %w", target, s.At, err)
		}
	}
	return nil
}

func appendAnswer(app storage.Appender, s scrape) (map[uint64]labels.Labels, error) {
	seen, ms := map[uint64]labels.Labels{}, at(s.At).UnixMilli()
	add := func(l labels.Labels, v float64) error {
		if _, err := app.Append(0, l, ms, v); err != nil {
			return fmt.Errorf("%s: %w", l, err)
		}
		return nil
	}
	up := 0.0
	if s.Text != nil {
		up = 1
		p := textparse.NewPromParser(words(*s.Text), labels.NewSymbolTable(), false)
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if entry != textparse.EntrySeries {
				continue
			}
			_, _, v := p.Series()
			var own labels.Labels
			p.Labels(&own)
			l := join(own, s.Target, s.HonorLabels)
			if err := add(l, v); err != nil {
				return nil, err
			}
			seen[l.Hash()] = l
		}
	}
	return seen, add(join(labels.FromStrings(labels.MetricName, "up"), s.Target, false), up)
}

// join gives a sample its target's labels. One that both have is the target's, and the sample's has another name, unless it is honoured.
func join(own labels.Labels, target map[string]string, honor bool) labels.Labels {
	b := labels.NewBuilder(own)
	for _, name := range slices.Sorted(maps.Keys(target)) {
		if mine := own.Get(name); mine != "" {
			if honor {
				continue
			}
			b.Set("exported_"+name, mine)
		}
		b.Set(name, target[name])
	}
	return b.Labels()
}
