package table

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// What the LZ4 project's own library (PyPI: lz4) made of 20 bytes 40 times, the 256 bytes, and 1000 times an a.
const packed = "" +
	"ff0574686520717569636b2062726f776e20666f78201400fffffbfff4000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132" +
	"333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182" +
	"838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2" +
	"d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff6161610300ffffffd0506161616161"

func TestLZ4IsUnpacked(t *testing.T) {
	want := []byte(strings.Repeat("the quick brown fox ", 40))
	for i := range 256 {
		want = append(want, byte(i))
	}
	want = append(want, strings.Repeat("a", 1000)...)
	in, err := hex.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := unpackLZ4(in, len(want))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for i := range in {
		if out, err := unpackLZ4(in[:i], len(want)); err == nil && len(out) >= len(want) {
			t.Errorf("%d of %d bytes unpack", i, len(in))
		}
	}
}

// Blocks are what the checksums guard; behind them everything must still hold.
func FuzzABlockOfAnyBytesNeverPanics(f *testing.F) {
	// abc with the value v, and abd, which shares two bytes with it, with a handle: offset 3, size 4. One restart, at 0.
	f.Add([]byte("\x00\x03\x01abcv" + "\x02\x01\x02d\x03\x04" + "\x00\x00\x00\x00" + "\x01\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, content []byte) {
		_ = each(content, func(_, _ []byte) error { return nil })
		for _, differences := range []bool{false, true} {
			_, _ = handles(content, differences)
		}
		_, _ = unpackLZ4(content, 1000)
	})
}
