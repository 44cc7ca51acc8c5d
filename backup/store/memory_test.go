package store_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/robustmq/robustmq-operator/backup/store"
)

// zeros are n bytes; now and then it looks how much memory is in use.
type zeros struct {
	n    int64
	peak uint64
	seen int64
}

// Read implements io.Reader.
func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n)
	clear(p[:n])
	z.n -= n
	if z.seen += n; z.seen >= 8<<20 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		z.peak, z.seen = max(z.peak, m.HeapInuse), 0
	}
	return int(n), nil
}

func TestMemoryIsThatOfTheBuffersNotOfTheObject(t *testing.T) {
	// A server that keeps nothing: what is measured is the client's.
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // counted by the client
		switch {
		case r.Method == http.MethodPut:
			w.Header().Set("ETag", `"part"`)
		case r.URL.Query().Has("uploads"):
			fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		default:
			fmt.Fprint(w, "<CompleteMultipartUploadResult><Bucket>backups</Bucket><ETag>x</ETag></CompleteMultipartUploadResult>")
		}
	}))
	defer h.Close()
	s, err := store.NewS3(store.Config{Bucket: "backups", Region: "r", Endpoint: h.URL, PathStyle: true, AccessKey: "AK", SecretKey: "secret", Buffers: 3})
	if err != nil {
		t.Fatal(err)
	}
	const size = 160 << 20
	source := &zeros{n: size}
	info, err := s.Put(t.Context(), "k", store.Content{Body: source, Size: size})
	if err != nil || info.Size != size {
		t.Fatal(info, err)
	}
	t.Logf("peak of %d MiB for an object of %d MiB", source.peak>>20, size>>20)
	if source.peak > 64<<20 {
		t.Errorf("%d MiB were in use for 3 buffers of %d MiB", source.peak>>20, store.PartSize>>20)
	}
}
