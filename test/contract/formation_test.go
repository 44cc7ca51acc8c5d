package contract

import (
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/test/contract/lab"
)

func TestASingleNodeFoundsAClusterOfItsOwn(t *testing.T) {
	l := lab.New(t, lab.Options{Metas: 1})
	n := l.Node(1).Start()
	l.Eventually(15*time.Second, "MQTT port open", func() bool { return n.Open(lab.MQTT) })
	t.Log(n.Status())
}
