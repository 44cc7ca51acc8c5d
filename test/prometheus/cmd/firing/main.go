// Firing reads a recording of scrapes and rules (recording, one JSON document), has Prometheus' own engine evaluate the rules over it, and answers with a line for each alert that was active: when its condition began to hold,
// when it fired, and when it ended. Tests of the product judge with it what metrics of a run do to alerts, without Prometheus among the product's modules.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
)

// recording is what was scraped, and what is asked of it. Times are seconds since any epoch.
type recording struct {
	Rules []rule `json:"rules"`
	// Every is how many seconds pass between two evaluations.
	Every   float64  `json:"every"`
	Scrapes []scrape `json:"scrapes"`
}

// rule is an alert as a file of rules has it.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         model.Duration    `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// scrape is one answer of a target, in the text format; null is that it did not answer.
type scrape struct {
	At     float64           `json:"at"`
	Target map[string]string `json:"target"`
	// HonorLabels has a label of a sample stand where the target has the same.
	HonorLabels bool    `json:"honorLabels"`
	Text        *string `json:"text"`
}

// alert is one that was active; Fired and Ended are null where it was not seen to.
type alert struct {
	Alert       string            `json:"alert"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Active      float64           `json:"active"`
	Fired       *float64          `json:"fired"`
	Ended       *float64          `json:"ended"`
}

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "firing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	var r recording
	decode := json.NewDecoder(in)
	decode.DisallowUnknownFields()
	if err := decode.Decode(&r); err != nil {
		return fmt.Errorf("read the recording: %w", err)
	}
	if len(r.Scrapes) == 0 || len(r.Rules) == 0 || r.Every <= 0 {
		return fmt.Errorf("%d scrapes, %d rules, an evaluation every %v s: some of each are needed", len(r.Scrapes), len(r.Rules), r.Every)
	}
	dir, err := os.MkdirTemp("", "firing-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	options := tsdb.DefaultOptions()
	options.MinBlockDuration = int64(30 * 24 * time.Hour / time.Millisecond) // a head takes all
	options.MaxBlockDuration = options.MinBlockDuration
	options.RetentionDuration = 0
	db, err := tsdb.Open(dir, promslog.NewNopLogger(), nil, options, nil)
	if err != nil {
		return fmt.Errorf("open a storage: %w", err)
	}
	defer func() { _ = db.Close() }()
	sort.SliceStable(r.Scrapes, func(i, j int) bool { return r.Scrapes[i].At < r.Scrapes[j].At })
	if err := store(ctx, db, r.Scrapes); err != nil {
		return err
	}
	found, err := evaluate(ctx, db, r)
	if err != nil {
		return err
	}
	encode := json.NewEncoder(out)
	for _, a := range found {
		if err := encode.Encode(a); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

func at(seconds float64) time.Time { return time.UnixMilli(int64(seconds * 1000)) }

func since(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// evaluate runs every rule at every step from the first scrape to the last, as a Prometheus would have meanwhile.
func evaluate(ctx context.Context, db *tsdb.DB, r recording) ([]*alert, error) {
	engine := promql.NewEngine(promql.EngineOpts{Logger: promslog.NewNopLogger(), MaxSamples: 50_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true})
	query := rules.EngineQueryFunc(engine, db)
	p := parser.NewParser(parser.Options{})
	first, last := at(r.Scrapes[0].At), at(r.Scrapes[len(r.Scrapes)-1].At)
	var all []*alert
	for _, rule := range r.Rules {
		expression, err := p.ParseExpr(rule.Expr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rule.Alert, err)
		}
		alerting := rules.NewAlertingRule(rule.Alert, expression, time.Duration(rule.For), 0, labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations), labels.EmptyLabels(), "", true, promslog.NewNopLogger())
		open := map[uint64]*alert{}
		for now := first; !now.After(last); now = now.Add(time.Duration(r.Every * float64(time.Second))) {
			if _, err := alerting.Eval(ctx, 0, now, query, nil, 0); err != nil {
				return nil, fmt.Errorf("%s at %s: %w", rule.Alert, now.UTC(), err)
			}
			active := map[uint64]bool{}
			for _, a := range alerting.ActiveAlerts() {
				key := a.Labels.Hash()
				active[key] = true
				if open[key] == nil {
					open[key] = &alert{Alert: rule.Alert, Labels: a.Labels.Map(), Active: since(now)}
					all = append(all, open[key])
				}
				// An annotation says the value of the last evaluation.
				open[key].Annotations = a.Annotations.Map()
				if a.State == rules.StateFiring && open[key].Fired == nil {
					fired := since(now)
					open[key].Fired = &fired
				}
			}
			for key, a := range open {
				if !active[key] {
					ended := since(now)
					a.Ended = &ended
					delete(open, key)
				}
			}
		}
	}
	return all, nil
}

// words of a scrape for the parser, which wants a line to end.
func words(text string) []byte {
	if !bytes.HasSuffix([]byte(text), []byte("\n")) {
		text += "\n"
	}
	return []byte(text)
}
