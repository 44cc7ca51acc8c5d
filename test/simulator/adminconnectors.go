package simulator

import (
	"net/http"
	"strings"
	"time"
)

// connectorRequest asks for a new connector.
type connectorRequest struct {
	Name     string          `json:"connector_name"`
	Type     string          `json:"connector_type"`
	Config   string          `json:"config"`
	Strategy failureStrategy `json:"failure_strategy"`
	Tenant   string          `json:"tenant"`
	Topic    string          `json:"topic_name"`
}

// addConnectors are the connectors' endpoints.
func (a *adminServer) addConnectors() {
	a.add("GET", "/api/cluster/connector/list", a.connectorList)
	a.add("POST", "/api/cluster/connector/create", a.connectorCreate)
	a.add("POST", "/api/cluster/connector/delete", func(r *http.Request, body []byte) (any, error) {
		var q connectorRequest
		if err := decodeBody(body, &q, "tenant", "connector_name"); err != nil {
			return nil, err
		}
		return a.remove(r.Context(), connector{Name: q.Name}.key())
	})
}

func (a *adminServer) connectorCreate(r *http.Request, body []byte) (any, error) {
	var q connectorRequest
	if err := decodeBody(body, &q, "connector_name", "connector_type", "config", "failure_strategy", "tenant", "topic_name"); err != nil {
		return nil, err
	}
	for _, field := range []struct {
		name, value string
		most        int
	}{{"Connector name", q.Name, 128}, {"Connector type", q.Type, 50}, {"Config", q.Config, 4096}, {"Tenant", q.Tenant, 256}, {"Topic name", q.Topic, 256}} {
		if err := between(field.name, field.value, 1, field.most); err != nil {
			return nil, err
		}
	}
	q.Type = strings.ToLower(q.Type)
	if connectorTypes[q.Type] == "" {
		return nil, &invalid{"Parameter validation failed: Connector type must be kafka, pulsar, rabbitmq, greptime, postgres, mysql, mongodb, " +
			"elasticsearch, redis, webhook, opentsdb, mqtt, clickhouse, influxdb, cassandra, s3 or file"}
	}
	config, err := parseTarget(q.Type, q.Config)
	if err != nil {
		return nil, err
	}
	c := connector{
		Tenant: q.Tenant, Name: q.Name, Type: q.Type, Config: config, Strategy: q.Strategy.filled(), Topic: q.Topic, Status: connectorIdle, CreateTime: a.n.now(), UpdateTime: a.n.now(),
	}
	return a.store(r.Context(), putRequest{Key: c.key(), Value: mustJSON(c), Create: true})
}

// connectorRow is one of the list.
type connectorRow struct {
	Tenant     string `json:"tenant"`
	Name       string `json:"connector_name"`
	Type       string `json:"connector_type"`
	Config     string `json:"config"`
	Topic      string `json:"topic_name"`
	Status     string `json:"status"`
	Broker     string `json:"broker_id"`
	CreateTime string `json:"create_time"`
	UpdateTime string `json:"update_time"`
}

func (a *adminServer) connectorList(r *http.Request, _ []byte) (any, error) {
	q := r.URL.Query()
	at := func(second int64) string { return time.Unix(second, 0).Format(time.DateTime) }
	rows := []connectorRow{}
	for _, c := range a.n.cache.connectors() {
		if q.Has("tenant") && c.Tenant != q.Get("tenant") || !strings.Contains(c.Name, q.Get("connector_name")) {
			continue
		}
		row := connectorRow{c.Tenant, c.Name, c.Type, c.shownTarget(), c.Topic, c.Status, "-", at(c.CreateTime), at(c.UpdateTime)}
		if c.Broker != 0 {
			row.Broker = shown(uint32(c.Broker))
		}
		rows = append(rows, row)
	}
	return page(rows, q), nil
}

func (c *cache) connectors() []connector { return decodeAll[connector](c.each, kindConnector) }

func (c *cache) connector(name string) (connector, bool) {
	return cachedValue[connector](c, connector{Name: name}.key())
}
