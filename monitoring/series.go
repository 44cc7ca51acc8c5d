package monitoring

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// scrape makes the series of one collection. A thousand clusters have 35,000 of them, and prometheus.NewConstMetric makes each label of each anew: here equal labels are in memory once.
type scrape struct {
	out   chan<- prometheus.Metric
	pairs map[label]*dto.LabelPair
}

type label struct{ name, value string }

func newScrape(out chan<- prometheus.Metric) *scrape {
	return &scrape{out: out, pairs: map[label]*dto.LabelPair{}}
}

// pair is a label that many series have.
func (s *scrape) pair(name, value string) *dto.LabelPair {
	key := label{name, value}
	if s.pairs[key] == nil {
		s.pairs[key] = &dto.LabelPair{Name: &key.name, Value: &key.value}
	}
	return s.pairs[key]
}

// send a series with these labels, in any order.
func (s *scrape) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...*dto.LabelPair) {
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) }) // as a registry wants them
	s.out <- &series{d, kind, value, labels}
}

// series implements prometheus.Metric.
type series struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  float64
	labels []*dto.LabelPair
}

// Desc is what it is of.
func (s *series) Desc() *prometheus.Desc { return s.desc }

// Write hands it to a registry, which changes none of it.
func (s *series) Write(into *dto.Metric) error {
	into.Label = s.labels
	if s.kind == prometheus.CounterValue {
		into.Counter = &dto.Counter{Value: &s.value}
		return nil
	}
	into.Gauge = &dto.Gauge{Value: &s.value}
	return nil
}

// ofOne are the series of one cluster in a scrape.
type ofOne struct {
	*scrape
	namespace, cluster *dto.LabelPair
}

// of a cluster; its own two labels are made once for all its series.
func (s *scrape) of(namespace, cluster string) ofOne {
	namespaceName, clusterName := "namespace", "cluster"
	return ofOne{s, &dto.LabelPair{Name: &namespaceName, Value: &namespace}, &dto.LabelPair{Name: &clusterName, Value: &cluster}}
}

func (o ofOne) gauge(d *prometheus.Desc, value float64, labels ...*dto.LabelPair) {
	o.send(d, prometheus.GaugeValue, value, append(labels, o.namespace, o.cluster)...)
}

func (o ofOne) counter(d *prometheus.Desc, value float64, labels ...*dto.LabelPair) {
	o.send(d, prometheus.CounterValue, value, append(labels, o.namespace, o.cluster)...)
}
