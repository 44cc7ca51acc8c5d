package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/robustmq/robustmq-operator/backup/store"
)

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestWhatWasPutIsReadBackWholeAndInParts(t *testing.T) {
	bodies := map[string][]byte{
		"empty": {}, "one": {7}, "small": random(1000), "a part less one": random(store.PartSize - 1), "a part": random(store.PartSize),
		"a part and one": random(store.PartSize + 1), "three": random(2*store.PartSize + 12345),
	}
	places(t, func(t *testing.T, s store.Store) {
		for name, body := range bodies {
			for _, size := range []int64{int64(len(body)), store.UnknownSize} {
				key := "a/b c/" + name
				// One byte at a time would take long; halves show that reads of any length do.
				info, err := s.Put(t.Context(), key, store.Content{Body: iotest.HalfReader(bytes.NewReader(body)), Size: size, SHA256: hexSum(body)})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if info.Size != int64(len(body)) || info.SHA256 != hexSum(body) {
					t.Errorf("%s: put says %+v", name, info)
				}
				head, err := s.Head(t.Context(), key)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if head.Size != info.Size || head.Checksum == "" || head.Checksum != info.Checksum || time.Since(head.Modified).Abs() > time.Hour {
					t.Errorf("%s: head says %+v, put said %+v", name, head, info)
				}
				if got, err := store.ReadAll(t.Context(), s, key, store.MaxObjectSize); err != nil || !bytes.Equal(got, body) {
					t.Errorf("%s: %d bytes read back, %v; want %d", name, len(got), err, len(body))
				}
				if sum, err := store.Hash(t.Context(), s, key); err != nil || sum != hexSum(body) {
					t.Errorf("%s: hash %s, %v", name, sum, err)
				}
			}
			for _, part := range []struct{ offset, length int64 }{{0, 1}, {1, 3}, {5, -1}, {10, 990}, {990, 5000}, {0, 0}} {
				if part.offset >= int64(len(body)) {
					continue
				}
				want := body[part.offset:]
				if part.length >= 0 {
					want = want[:min(part.length, int64(len(want)))]
				}
				r, err := s.Get(t.Context(), "a/b c/"+name, part.offset, part.length)
				if err != nil {
					t.Fatalf("%s %v: %v", name, part, err)
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s %v: %d bytes, %v; want %d", name, part, len(got), err, len(want))
				}
			}
		}
	})
}

func TestContentThatIsNotWhatWasDeclaredLeavesNothing(t *testing.T) {
	cut := func(n int) io.Reader {
		return io.MultiReader(bytes.NewReader(random(n)), iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	whole := func(n int) io.Reader { return bytes.NewReader(random(n)) }
	cases := map[string]store.Content{
		"a byte less":                      {Body: whole(99), Size: 100},
		"a byte more":                      {Body: whole(101), Size: 100},
		"another hash":                     {Body: whole(100), Size: 100, SHA256: hexSum([]byte("x"))},
		"a byte less, of several parts":    {Body: whole(store.PartSize + 99), Size: store.PartSize + 100},
		"a byte more, of several parts":    {Body: whole(store.PartSize + 101), Size: store.PartSize + 100},
		"another hash, of several parts":   {Body: whole(store.PartSize + 100), Size: store.UnknownSize, SHA256: hexSum([]byte("x"))},
		"a source that breaks":             {Body: cut(100), Size: store.UnknownSize},
		"a source that breaks late":        {Body: cut(store.PartSize + 100), Size: store.UnknownSize},
		"a source that breaks at a border": {Body: cut(2 * store.PartSize), Size: store.UnknownSize},
	}
	places(t, func(t *testing.T, s store.Store) {
		for name, content := range cases {
			switch from := content.Body.(type) { // each place reads it anew
			case *bytes.Reader:
				from.Seek(0, io.SeekStart) //nolint:errcheck // of memory
			default:
				n := map[string]int{"a source that breaks": 100, "a source that breaks late": store.PartSize + 100, "a source that breaks at a border": 2 * store.PartSize}[name]
				content.Body = cut(n)
			}
			_, err := s.Put(t.Context(), "x/y", content)
			wantKind(t, err, store.KindMismatch)
			_, err = s.Head(t.Context(), "x/y")
			wantKind(t, err, store.KindNotFound)
			wantEqual(t, keys(t.Context(), t, s, "", true), []string{})
			if n, err := s.Sweep(t.Context(), "x/", time.Now().Add(time.Hour)); n != 0 || err != nil {
				t.Errorf("%s: %d unfinished uploads are left, %v", name, n, err)
			}
		}
	})
}

func TestAListIsInTheOrderOfKeysAndShowsFolders(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		all := []string{"a", "a-b", "a/b", "a/b-c", "a/b/c", "a/b/d", "a0", "b/x y+z%41", "b/ü"}
		for _, key := range all {
			if _, err := s.Put(t.Context(), key+"/o", store.Content{Body: bytes.NewReader(nil), Size: 0}); err != nil {
				t.Fatal(err)
			}
		}
		wantEqual(t, keys(t.Context(), t, s, "", true), []string{"a-b/o", "a/b-c/o", "a/b/c/o", "a/b/d/o", "a/b/o", "a/o", "a0/o", "b/x y+z%41/o", "b/ü/o"})
		wantEqual(t, keys(t.Context(), t, s, "a/b", true), []string{"a/b-c/o", "a/b/c/o", "a/b/d/o", "a/b/o"})
		wantEqual(t, keys(t.Context(), t, s, "", false), []string{"a-b/", "a/", "a0/", "b/"})
		wantEqual(t, keys(t.Context(), t, s, "a/", false), []string{"a/b-c/", "a/b/", "a/o"})
		wantEqual(t, keys(t.Context(), t, s, "a/b", false), []string{"a/b-c/", "a/b/"})
		wantEqual(t, keys(t.Context(), t, s, "nothing/here", true), []string{})
		for _, err := range s.List(t.Context(), "", true) {
			if err != nil {
				t.Error(err)
			}
			break // a reader may have seen enough
		}
	})
}

func TestWhatIsDeletedIsGoneAndDeletingTwiceIsNoError(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		for range 2 {
			if _, err := s.Put(t.Context(), "a/b/c", store.Content{Body: bytes.NewReader([]byte("x")), Size: 1}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.Delete(t.Context(), "a/b/c"); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Get(t.Context(), "a/b/c", 0, -1)
			wantKind(t, err, store.KindNotFound)
			wantEqual(t, keys(t.Context(), t, s, "", false), []string{}) // no empty folder either
		}
	})
}

func TestCreateIsForTheFirstAndTheSameAgain(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		for range 2 {
			if _, err := s.Create(t.Context(), "owner", []byte("one")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.Create(t.Context(), "owner", []byte("two"))
		wantKind(t, err, store.KindExists)
		if got, err := store.ReadAll(t.Context(), s, "owner", 10); string(got) != "one" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestOfManyCreatorsOneWins(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		won := make(chan error, 8)
		for i := range cap(won) {
			go func() {
				_, err := s.Create(t.Context(), "owner", []byte{byte(i)})
				won <- err
			}()
		}
		winners := 0
		for range cap(won) {
			if err := <-won; err == nil {
				winners++
			} else {
				wantKind(t, err, store.KindExists)
			}
		}
		wantEqual(t, winners, 1)
	})
}

func TestKeysThatLeaveThePlaceAreRefused(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		for _, key := range []string{"", "/", "/a", "a/", "a//b", "..", "../x", "a/../b", "a/./b", ".", "a\\b", "a\x00b", "a\nb", string(make([]byte, 2000))} {
			_, err := s.Put(t.Context(), key, store.Content{Body: bytes.NewReader(nil), Size: 0})
			wantKind(t, err, store.KindInvalid)
			_, err = s.Get(t.Context(), key, 0, -1)
			wantKind(t, err, store.KindInvalid)
			wantKind(t, s.Delete(t.Context(), key), store.KindInvalid)
		}
	})
}

func TestAContextThatIsOverEndsEverything(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Put(ctx, "k", store.Content{Body: bytes.NewReader(random(10)), Size: 10})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("put: %v", err)
		}
		wantEqual(t, keys(t.Context(), t, s, "", true), []string{})
	})
}

func TestAProbeWritesReadsListsAndDeletes(t *testing.T) {
	places(t, func(t *testing.T, s store.Store) {
		found, err := store.Probe(t.Context(), s, "p/probe/1", random(32))
		if err != nil {
			t.Fatal(err)
		}
		if !found.Checksums || time.Since(found.Modified).Abs() > time.Hour {
			t.Errorf("%+v", found)
		}
		wantEqual(t, keys(t.Context(), t, s, "", true), []string{})
	})
}
