package watch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Prometheus answers questions over its HTTP API.
type Prometheus struct {
	api prometheusv1.API
}

// Prometheus of the installation; nothing is asked yet.
func (i Installation) Prometheus() (*Prometheus, error) {
	return newPrometheus(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return i.DialPod(ctx, PrometheusPod, PrometheusPort)
	})
}

func newPrometheus(dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Prometheus, error) {
	// A connection a question: the pod may be another one the next time.
	c, err := api.NewClient(api.Config{Address: "http://prometheus", RoundTripper: &http.Transport{DialContext: dial, DisableKeepAlives: true}})
	if err != nil {
		return nil, err
	}
	return &Prometheus{prometheusv1.NewAPI(c)}, nil
}

const answerTimeout = 20 * time.Second

// Value is what an expression yields now.
func (p *Prometheus) Value(ctx context.Context, expr string) (model.Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	value, _, err := p.api.Query(ctx, expr, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	switch v := value.(type) {
	case model.Vector:
		return v, nil
	case *model.Scalar:
		return model.Vector{{Value: v.Value, Timestamp: v.Timestamp}}, nil
	default:
		return nil, fmt.Errorf("%s yields a %s", expr, value.Type())
	}
}

// Range evaluates an expression over the time that ends now, at every step.
func (p *Prometheus) Range(ctx context.Context, expr string, back, step time.Duration) (model.Matrix, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	now := time.Now()
	value, _, err := p.api.QueryRange(ctx, expr, prometheusv1.Range{Start: now.Add(-back), End: now, Step: step})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	series, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("%s yields a %s", expr, value.Type())
	}
	return series, nil
}

// Targets are all that are scraped.
func (p *Prometheus) Targets(ctx context.Context) ([]prometheusv1.ActiveTarget, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	all, err := p.api.Targets(ctx)
	if err != nil {
		return nil, fmt.Errorf("targets of Prometheus: %w", err)
	}
	return all.Active, nil
}

// An Alert is one rule that is loaded.
type Alert struct {
	Group, Name string
	Rule        prometheusv1.AlertingRule
}

// Alerts are the alerting rules of all groups, and Recorded how many recording rules there are.
func (p *Prometheus) Alerts(ctx context.Context) (alerts []Alert, recorded int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	result, err := p.api.Rules(ctx, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("rules of Prometheus: %w", err)
	}
	for _, g := range result.Groups {
		for _, r := range g.Rules {
			switch r := r.(type) {
			case prometheusv1.AlertingRule:
				alerts = append(alerts, Alert{g.Name, r.Name, r})
			default:
				recorded++
			}
		}
	}
	return alerts, recorded, nil
}

// Firing are the label sets with which an alert fires that has these labels.
func (p *Prometheus) Firing(ctx context.Context, labels map[string]string) (model.Vector, error) {
	return p.Value(ctx, selector("ALERTS", labels, "alertstate", "firing"))
}

// selector of a metric by labels, in the order given for those of more.
func selector(metric string, labels map[string]string, more ...string) string {
	var parts []string
	for i := 0; i+1 < len(more); i += 2 {
		parts = append(parts, more[i]+"="+strconv.Quote(more[i+1]))
	}
	for _, name := range sortedKeys(labels) {
		parts = append(parts, name+"="+strconv.Quote(labels[name]))
	}
	return metric + "{" + strings.Join(parts, ",") + "}"
}
