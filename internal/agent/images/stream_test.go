package images

import (
	"fmt"
	"strings"
	"testing"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

func TestARangeIsWithinTheFile(t *testing.T) {
	for header, want := range map[string]Range{
		"":           {0, 100, false},
		"bytes=0-":   {0, 100, true},
		"bytes=40-":  {40, 60, true},
		"bytes=99-":  {99, 1, true},
		"bytes=0-0":  {0, 1, true},
		"bytes=5-9":  {5, 5, true},
		"bytes=5-99": {5, 95, true}, "bytes=5-1000": {5, 95, true},
	} {
		if got, err := ParseRange(header, 100); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", header, got, err, want)
		}
	}
	if got := (Range{5, 95, true}).Header(100); got != "bytes 5-99/100" {
		t.Error(got)
	}
	for _, header := range []string{"bytes=100-", "bytes=-5", "bytes=", "bytes=5", "bytes=9-5", "bytes=0-1,3-4", "bytes=a-", "bytes=+1-", "bytes=-1-2", "items=0-", "bytes=99999999999999999999-", " bytes=0-"} {
		if got, err := ParseRange(header, 100); reasonOf(err) != protocol.ReasonBadRequest {
			t.Errorf("%q: %+v, %v", header, got, err)
		}
	}
	if _, err := ParseRange("bytes=0-", 0); err == nil {
		t.Error("a range of nothing")
	}
}

func FuzzParseRange(f *testing.F) {
	for _, header := range []string{"", "bytes=0-", "bytes=5-9", "bytes=-5", "bytes=0-1,2-3", "bytes=99999999999999999999-"} {
		f.Add(header, int64(100))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		r, err := ParseRange(header, size)
		if err != nil {
			if reasonOf(err) != protocol.ReasonBadRequest {
				t.Fatal(err)
			}
			return
		}
		if r.From < 0 || r.Length < 0 || r.From+r.Length > size || r.From+r.Length < r.From || r.Partial && r.Length == 0 || r.Partial != (header != "") {
			t.Fatalf("%q of %d: %+v", header, size, r)
		}
		if r.Partial && !strings.HasPrefix(r.Header(size), fmt.Sprintf("bytes %d-", r.From)) {
			t.Fatal(r.Header(size))
		}
	})
}

func FuzzParseOffset(f *testing.F) {
	for _, text := range []string{"", "0", "17", "-1", "+1", "9223372036854775808", "1e3", " 1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseOffset(text)
		if n < 0 || err != nil && n != 0 {
			t.Fatalf("%q: %d, %v", text, n, err)
		}
		if err == nil && text != "" && strings.TrimLeft(text, "0") != strings.TrimLeft(fmt.Sprint(n), "0") {
			t.Fatalf("%q is taken for %d", text, n)
		}
	})
}
