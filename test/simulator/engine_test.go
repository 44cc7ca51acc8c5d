package simulator

import (
	"testing"

	"github.com/robustmq/robustmq-operator/test/simulator/store"
)

// What a restore of the metadata cannot bring back: the notification takes the messages off the disk, and no other shard's.
func TestTheMessagesOfADeletedTopicAreGoneFromTheDisk(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	n := &Node{storage: s, ctx: t.Context()}
	n.cache = newCache(n)
	if n.engine, err = newEngine(n); err != nil {
		t.Fatal(err)
	}
	for _, shard := range []string{"gone", "kept"} {
		n.cache.update(change{Key: kindShard + shard, Value: mustJSON(shard)})
		for offset := range uint64(2) {
			n.engine.store(shard, message{Offset: offset, Payload: []byte("a")}, 0)
		}
	}
	n.cache.update(change{Key: kindShard + "gone"})
	again, err := newEngine(n) // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*engine{n.engine, again} {
		if gone, kept := len(e.log("gone").messages), len(e.log("kept").messages); gone != 0 || kept != 2 {
			t.Errorf("%d messages of the deleted topic, %d of the other; want 0 and 2", gone, kept)
		}
	}
}
