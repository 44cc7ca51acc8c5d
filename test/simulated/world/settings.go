package world

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/robustmq/robustmq-operator/internal/manifests"
	"github.com/robustmq/robustmq-operator/internal/robustmq/admin"
	"github.com/robustmq/robustmq-operator/internal/robustmq/metaclient"
)

// httpPort is the server's admin API.
const httpPort = "58080"

// admin calls the admin API of a pod's server, past its agent, as a person with the cluster's key would.
func (w *World) admin(pod, method, path string, body any) (json.RawMessage, error) {
	address := w.Kubelet.AddressOf(pod)
	if address == "" {
		return nil, fmt.Errorf("%s has no address", pod)
	}
	cluster := w.clusters()[0]
	var key corev1.Secret
	if err := w.Client.Get(w.ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: manifests.JWTSecretName(&cluster)}, &key); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	c := &admin.Client{
		Base: "http://" + net.JoinHostPort(address, httpPort), Now: time.Now, Secret: func() string { return string(key.Data["secret"]) },
		HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	return c.Call(ctx, method, path, body)
}

// Setting is what a pod's server goes by, by the dotted path in its whole configuration.
func (w *World) Setting(pod, path string) (any, error) {
	raw, err := w.admin(pod, http.MethodGet, "/api/cluster/config/get", nil)
	if err != nil {
		return nil, err
	}
	var at any
	if err := json.Unmarshal(raw, &at); err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(path, ".") {
		section, ok := at.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s shows no %s", pod, path)
		}
		at = section[name]
	}
	return at, nil
}

// Set changes a kind of settings through the admin API of a pod's server.
func (w *World) Set(pod, kind, config string) error {
	_, err := w.admin(pod, http.MethodPost, "/api/cluster/config/set", map[string]string{"config_type": kind, "config": config})
	return err
}

// Stored is what a member has stored of a kind of settings, empty when nothing.
func (w *World) Stored(pod, kind string) ([]byte, error) {
	var stored []byte
	err := w.ask(pod, func(ctx context.Context, c *metaclient.Client) (err error) {
		stored, err = c.StoredConfig(ctx, kind)
		return err
	})
	return stored, err
}

// Create makes a user, tenant or topic through the admin API of a pod's server.
func (w *World) Create(pod, what string, object any) error {
	_, err := w.admin(pod, http.MethodPost, "/api/cluster/"+what+"/create", object)
	return err
}

// Users are the MQTT users that a pod's server knows, sorted. Only brokers know them.
func (w *World) Users(pod string) ([]string, error) {
	var list struct {
		Data []struct {
			Username string `json:"username"`
		} `json:"data"`
	}
	if err := w.read(&list, pod, http.MethodGet, "/api/cluster/user/list?limit=100000", nil); err != nil {
		return nil, err
	}
	names := []string{}
	for _, u := range list.Data {
		names = append(names, u.Username)
	}
	slices.Sort(names)
	return names, nil
}

// DeleteUser removes one, through a pod's server.
func (w *World) DeleteUser(pod, name string) error {
	_, err := w.admin(pod, http.MethodPost, "/api/cluster/user/delete", map[string]string{"tenant": "default", "username": name})
	return err
}

// Login reports whether a broker accepts an MQTT user.
func (w *World) Login(pod, user, password string) (bool, error) {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(w.Kubelet.AddressOf(pod), "1883"), 2*time.Second)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return false, err
	}
	connect := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	connect.ProtocolName, connect.ProtocolVersion, connect.CleanSession, connect.ClientIdentifier = "MQTT", 4, true, "world"
	connect.UsernameFlag, connect.Username, connect.PasswordFlag, connect.Password = true, user, true, []byte(password)
	if err := connect.Write(conn); err != nil {
		return false, err
	}
	answer, err := packets.ReadPacket(conn)
	if err != nil {
		return false, err
	}
	ack, ok := answer.(*packets.ConnackPacket)
	return ok && ack.ReturnCode == packets.Accepted, nil
}

// RefuseSettings lets no server read a kind of settings.
func (w *World) RefuseSettings(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, kind)
}

func (w *World) refuses(kind string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.refused, kind)
}
