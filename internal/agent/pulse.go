package agent

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/pause"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// pulse asks the server again and again whether it answers. Only an HTTP answer counts: a hung server's ports stay open, the kernel accepts for it.
func (a *Agent) pulse(ctx context.Context) {
	for {
		a.mu.Lock()
		c, m := a.child, a.mounted
		a.mu.Unlock()
		wait := a.o.Timings.PulseFirst
		if c != nil {
			answered, mqtt := a.beat(ctx, c, m)
			a.mu.Lock()
			if a.child == c {
				changed := answered && !c.answered || mqtt != c.mqtt
				if answered {
					c.answered, c.lastAnswer, c.misses = true, a.o.Now(), 0
				} else {
					c.misses++
				}
				c.mqtt = mqtt
				if changed {
					a.notify()
				}
			}
			if c.answered && (mqtt || m.config.Role != config.RoleMQTTBroker) {
				wait = a.o.Timings.Pulse
			}
			a.mu.Unlock()
		}
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// beat asks once. Any HTTP status is an answer. The page is small, needs no token and no quorum; before 0.3.9 it does not exist and answers 404, which is an answer too.
func (a *Agent) beat(ctx context.Context, c *child, m mounted) (answered, mqtt bool) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.PulseTimeout)
	defer cancel()
	path := "/.well-known/oauth-protected-resource"
	if c.traits.InfoPath == "/api/status" {
		path = "/api"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostPort(a.o.Loopback, m.config.Ports.HTTP)+path, nil)
	if err != nil {
		return false, false
	}
	response, err := a.loopback().Do(request)
	if err != nil {
		return false, false
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody))
	_ = response.Body.Close() // read to its end or broken
	if m.config.Role == config.RoleMQTTBroker {
		mqtt = a.opens(ctx, hostPort(a.o.Loopback, m.config.Ports.MQTT), a.o.Timings.Probe)
	}
	return err == nil, mqtt
}

// opens reports whether a port accepts a connection.
func (a *Agent) opens(ctx context.Context, addr string, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := a.o.Dial(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close() // it was opened, which is the answer
	return true
}

// loopback is a client without kept connections: one that hangs must not be used again after the server was restarted.
func (a *Agent) loopback() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: a.o.Dial, DisableKeepAlives: true}}
}

// live reports that the server runs, shall run and answers; the lock is held.
func (a *Agent) live() bool {
	return a.child != nil && a.child.stopping == "" && a.phase(a.child, a.o.Now()) == protocol.ServerRunning
}
