package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
	"github.com/robustmq/robustmq-operator/internal/robustmq"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/internal/robustmq/config"
)

// checkedLogin is whether a broker accepted the mounted MQTT user when it was last tried.
type checkedLogin struct {
	child    *child
	user     [2]string // name and password that were tried
	at       time.Time
	accepted bool
}

// loginDue reports whether the mounted MQTT user has to be tried at this broker. RobustMQ takes the password of its configuration once, when the user does not exist:
// another one in the file is without effect, so only a login tells.
func (a *Agent) loginDue(c *child, m mounted) bool {
	if m.config.Role != config.RoleMQTTBroker || !c.traits.JWT || m.problem != "" {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.login
	return c.mqtt && (l.child != c || l.user != m.mqttUser() || !l.accepted || a.o.Now().Sub(l.at) > a.o.Timings.Settings)
}

func (m mounted) mqttUser() [2]string {
	return [2]string{m.input.Credentials.MQTTUsername, m.input.Credentials.MQTTPassword}
}

// checkLogin tries the mounted MQTT user at this pod's broker.
func (a *Agent) checkLogin(ctx context.Context, c *child, m mounted) error {
	accepted, err := a.connectMQTT(ctx, m)
	if err != nil {
		return fmt.Errorf("trying the MQTT user: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.child == c {
		a.login = checkedLogin{child: c, user: m.mqttUser(), at: a.o.Now(), accepted: accepted}
		a.notify()
	}
	return nil
}

// connectMQTT opens an MQTT 3.1.1 session with the mounted user and ends it again. The error says that there was no answer, or one that is about something else.
func (a *Agent) connectMQTT(ctx context.Context, m mounted) (accepted bool, err error) {
	conn, err := a.o.Dial(ctx, "tcp", hostPort(a.o.Loopback, m.config.Ports.MQTT))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return false, err
		}
	}
	user := m.mqttUser()
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.CleanSession, connect.Keepalive = "MQTT", 4, true, 10
	connect.ClientIdentifier = fmt.Sprintf("operator-%d", m.nodeID()) // of MQTT 3 RobustMQ takes 23 characters at most
	connect.UsernameFlag, connect.Username, connect.PasswordFlag, connect.Password = true, user[0], true, []byte(user[1])
	if err := connect.Write(conn); err != nil {
		return false, err
	}
	answer, err := packets.ReadPacket(conn)
	if err != nil {
		return false, err
	}
	ack, ok := answer.(*packets.ConnackPacket)
	if !ok {
		return false, errors.New("the broker answered something else than CONNACK")
	}
	switch ack.ReturnCode {
	case packets.Accepted:
		return true, packets.NewControlPacket(packets.Disconnect).Write(conn)
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		return false, nil
	}
	return false, fmt.Errorf("the broker answered CONNACK %d", ack.ReturnCode)
}

// orderLogin makes the mounted MQTT user anew, with the mounted password: RobustMQ has no call that changes one. For less than a second the user does not exist;
// connections that are open stay so (seen).
func (a *Agent) orderLogin(ctx context.Context, _ protocol.LoginOrder) error {
	a.orders.Lock()
	defer a.orders.Unlock()
	a.mu.Lock()
	c, m := a.child, a.mounted
	a.mu.Unlock()
	switch {
	case c == nil:
		return fmt.Errorf("MQTT user: %w", errServerDown)
	case m.config.Role != config.RoleMQTTBroker:
		return badRequest("MQTT users are made at brokers")
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Timings.OrderWait)
	defer cancel()
	// Somebody may have done it meanwhile, and then nobody has to be without the user.
	if accepted, err := a.connectMQTT(ctx, m); err != nil || accepted {
		if err != nil {
			return &refusal{protocol.ReasonServerDown, fmt.Sprintf("trying the MQTT user: %v", err)}
		}
		return a.checkLogin(ctx, c, m)
	}
	user := m.mqttUser()
	who := map[string]any{"tenant": robustmq.DefaultTenant, "username": user[0]}
	if _, err := a.admin(m).Call(ctx, http.MethodPost, "/api/cluster/user/delete", who); err != nil {
		var answered *admin.Error // that there is none
		if !errors.As(err, &answered) {
			return &refusal{protocol.ReasonServerDown, fmt.Sprintf("deleting MQTT user %q: %v", user[0], err)}
		}
	}
	who["password"], who["is_superuser"] = user[1], true
	if _, err := a.admin(m).Call(ctx, http.MethodPost, "/api/cluster/user/create", who); err != nil {
		return &refusal{protocol.ReasonServerFailed, fmt.Sprintf("creating MQTT user %q: %v", user[0], err)}
	}
	return nil // the next look at the server tells whether it accepts the user
}
