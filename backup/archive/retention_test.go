package archive_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
)

func TestWhatThePolicyKeeps(t *testing.T) {
	hours := func(n int) time.Time { return noon.Add(-time.Duration(n) * time.Hour) }
	good := func(id string, age int) archive.Candidate {
		return archive.Candidate{ID: id, Schedule: "h", Time: hours(age), Good: true}
	}
	bad := func(id string, age int) archive.Candidate {
		c := good(id, age)
		c.Good = false
		return c
	}
	by := func(schedule string, c archive.Candidate) archive.Candidate { c.Schedule = schedule; return c }
	unreadable := archive.Candidate{ID: "u", Time: hours(1000), Unreadable: true}
	for _, c := range []struct {
		what   string
		policy archive.Policy
		in     []archive.Candidate
		want   string
	}{
		{"the last two", archive.Policy{KeepLast: 2}, []archive.Candidate{good("a", 3), good("b", 1), good("c", 2)}, "[a]"},
		{"younger than three hours, or the last one", archive.Policy{KeepLast: 1, MaxAge: 3 * time.Hour}, []archive.Candidate{good("a", 3), good("b", 2), good("c", 1)}, "[a]"},
		{"the last one, however old", archive.Policy{KeepLast: 1, MaxAge: time.Hour}, []archive.Candidate{good("a", 100), good("b", 200)}, "[b]"},
		{"nothing asked keeps one", archive.Policy{}, []archive.Candidate{good("a", 1), good("b", 2)}, "[b]"},
		{"a bad one does not count", archive.Policy{KeepLast: 1}, []archive.Candidate{bad("a", 1), good("b", 2), good("c", 3)}, "[c]"},
		{"a bad one goes when good ones are newer", archive.Policy{KeepLast: 1}, []archive.Candidate{bad("a", 3), good("b", 2)}, "[a]"},
		{"all bad: all stay", archive.Policy{KeepLast: 1}, []archive.Candidate{bad("a", 1), bad("b", 2)}, "[]"},
		{"made by hand", archive.Policy{KeepLast: 1}, []archive.Candidate{by("", good("a", 9)), good("b", 1)}, "[]"},
		{"of a schedule that is no more", archive.Policy{KeepLast: 1}, []archive.Candidate{by("x", good("a", 9)), by("x", good("b", 8))}, "[]"},
		{"unreadable", archive.Policy{KeepLast: 1}, []archive.Candidate{unreadable, good("b", 1)}, "[]"},
		{"none", archive.Policy{KeepLast: 1}, nil, "[]"},
	} {
		got := []string{}
		for _, e := range archive.Expired(c.in, map[string]archive.Policy{"h": c.policy}, noon) {
			got = append(got, e.ID)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v goes, want %s", c.what, got, c.want)
		}
	}
}

func TestTheLastGoodBackupNeverGoes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for world := range 2000 {
		var all []archive.Candidate
		for i := range random.IntN(12) {
			c := archive.Candidate{ID: fmt.Sprint(i), Schedule: []string{"", "a", "b"}[random.IntN(3)], Time: noon.Add(time.Duration(random.IntN(200)-150) * time.Hour), Good: random.IntN(3) > 0}
			c.Unreadable = !c.Good && random.IntN(2) == 0
			all = append(all, c)
		}
		policies := map[string]archive.Policy{}
		for _, s := range []string{"a", "b"} {
			if random.IntN(4) > 0 {
				policies[s] = archive.Policy{KeepLast: random.IntN(4), MaxAge: time.Duration(random.IntN(100)) * time.Hour}
			}
		}
		gone := map[string]bool{}
		for _, e := range archive.Expired(all, policies, noon) {
			gone[e.ID] = true
		}
		kept, good := map[string]int{}, map[string]int{}
		for _, c := range all {
			p, has := policies[c.Schedule]
			if gone[c.ID] && (c.Unreadable || !has || (p.MaxAge > 0 && noon.Sub(c.Time) < p.MaxAge)) {
				t.Fatalf("world %d: %+v goes", world, c)
			}
			if c.Good {
				good[c.Schedule]++
				if !gone[c.ID] {
					kept[c.Schedule]++
				}
			}
		}
		for s, n := range good {
			if kept[s] < min(n, max(policies[s].KeepLast, 1)) {
				t.Fatalf("world %d: of %d good ones of %q %d are left", world, n, s, kept[s])
			}
		}
	}
}

func TestNoTableThatAManifestNamesIsCollectable(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for world := range 500 {
		var stock []store.Info
		var backups []archive.Backup
		named := map[string]bool{}
		for i := range 20 {
			stock = append(stock, store.Info{Key: fmt.Sprintf("tables/%d", i), Size: 1, Modified: noon.Add(-time.Duration(random.IntN(100)) * time.Hour)})
		}
		broken := false
		for i := range random.IntN(5) {
			b := archive.Backup{ID: fmt.Sprint(i)}
			stock = append(stock, store.Info{Key: "backups/" + b.ID + "/manifest.json", Modified: noon.Add(-1000 * time.Hour)}, store.Info{Key: "backups/" + b.ID + "/manifest.sha256", Modified: noon.Add(-1000 * time.Hour)})
			if random.IntN(10) == 0 {
				b.Broken, broken = "why", true
			}
			for range random.IntN(8) {
				key := fmt.Sprintf("tables/%d", random.IntN(20))
				b.Manifest.Tables = append(b.Manifest.Tables, archive.Table{Object: archive.Object{Key: key}})
				named[key] = true
			}
			backups = append(backups, b)
		}
		g := archive.Collectable(stock, backups, noon)
		goes := map[string]bool{}
		for _, key := range g.Keys {
			goes[key] = true
		}
		for _, o := range stock {
			want := strings.HasPrefix(o.Key, "tables/") && !named[o.Key] && !broken && noon.Sub(o.Modified) >= archive.GraceTime
			if goes[o.Key] != want {
				t.Fatalf("world %d: %s goes: %v, want %v", world, o.Key, goes[o.Key], want)
			}
		}
		if (g.Blocked != "") != broken || g.Bytes != int64(len(g.Keys)) {
			t.Fatalf("world %d: %+v", world, g)
		}
	}
}

func TestCollectingDeletesWhatExpiredAndLeavesTheRestWhole(t *testing.T) {
	a, d, path := dir(t)
	for i := range 5 {
		write(t, a, request(fmt.Sprint("n", i), noon.Add(time.Duration(i)*time.Hour), uint64(i), uint64(i+1), 99))
	}
	policies := map[string]archive.Policy{"hourly": {KeepLast: 2}}
	done, err := a.Collect(t.Context(), "test", policies, nil)
	if err != nil || len(done.Expired) != 3 || len(done.Garbage.Keys) != 0 {
		t.Fatalf("%+v, %v: tables younger than a day stay", done, err)
	}
	older(t, path, archive.GraceTime)
	done, err = a.Collect(t.Context(), "test", policies, nil)
	if err != nil || len(done.Garbage.Keys) != 3 || done.Garbage.Bytes == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	wantOnlyNamed(t, a, d)
	for _, b := range list(t, a) {
		if err := a.Verify(t.Context(), &b.Manifest, archive.Full, "", nil); err != nil {
			t.Error(err)
		}
	}
	if err := a.Delete(t.Context(), "20261125T150000Z-n3", "test"); err != nil {
		t.Error(err)
	}
	if l := list(t, a); len(l) != 1 || l[0].Manifest.Name != "n4" {
		t.Errorf("%+v", l)
	}
}

func TestWhatDeletesIsAlone(t *testing.T) {
	a, _, path := dir(t)
	write(t, a, request("one", noon, 1))
	for _, p := range []archive.Purpose{archive.Backing, archive.Reading, archive.Collecting} {
		lock, err := a.Acquire(t.Context(), p, "pod/restore-1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Collect(t.Context(), "test", map[string]archive.Policy{"hourly": {}}, nil)
		var busy *archive.BusyError
		if !errors.As(err, &busy) || busy.Purpose != p || !strings.Contains(err.Error(), "pod/restore-1") {
			t.Errorf("beside %s: %v", p, err)
		}
		if err := a.Delete(t.Context(), "20261125T120000Z-one", "test"); !errors.As(err, &busy) {
			t.Errorf("beside %s: %v", p, err)
		}
		_, err = a.Write(t.Context(), request("w-"+string(p), noon.Add(time.Hour), 2))
		if (err != nil) != (p == archive.Collecting) {
			t.Errorf("a backup beside %s: %v", p, err)
		}
		older(t, path+"/prefix/eu/"+uid+"/locks", archive.LockTTL+time.Minute) // its holder has died
		if _, err := a.Collect(t.Context(), "test", nil, nil); err != nil {
			t.Errorf("after the death of %s: %v", p, err)
		}
		lock.Release(t.Context())
	}
}

func TestALockThatWasNotRenewedInTimeIsLost(t *testing.T) {
	a, _, _ := dir(t)
	lock, err := a.Acquire(t.Context(), archive.Backing, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	lock.Release(t.Context())

	// The store's clock goes on while the holder sleeps. Its backup ends, although the holder's own clock says nothing.
	sleeper, err := a.Acquire(t.Context(), archive.Backing, "test")
	if err != nil {
		t.Fatal(err)
	}
	archive.Backdate(sleeper, archive.LockTTL)
	working := sleeper.Keep(t.Context(), 500*time.Millisecond)
	select {
	case <-working.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	if cause := context.Cause(working); !strings.Contains(cause.Error(), "not renewed") {
		t.Error(cause)
	}
	sleeper.Release(t.Context())
}

func TestOfTwoWhoWantToBeAloneAtMostOneIs(t *testing.T) {
	a, _, _ := dir(t)
	for range 50 {
		got := make(chan *archive.Lock, 4)
		for range cap(got) {
			go func() {
				lock, err := a.Acquire(context.WithoutCancel(t.Context()), archive.Collecting, "test")
				if err != nil {
					lock = nil
				}
				got <- lock
			}()
		}
		var held []*archive.Lock
		for range cap(got) {
			if lock := <-got; lock != nil {
				held = append(held, lock)
			}
		}
		if len(held) > 1 {
			t.Fatalf("%d are alone", len(held))
		}
		for _, lock := range held {
			lock.Release(t.Context())
		}
	}
}
