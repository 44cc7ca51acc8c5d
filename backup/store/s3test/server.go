package s3test

import (
	"bytes"
	"crypto/md5" // S3's ETag is MD5
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server has one bucket in memory.
type Server struct {
	Bucket, Region, AccessKey, SecretKey string
	// SessionToken that requests must carry, if not empty.
	SessionToken string
	// NoChecksums answers as stores do that keep none.
	NoChecksums bool
	// NoConditions ignores If-None-Match, as older stores do.
	NoConditions bool
	// Versioned names a version in answers, as a bucket does that keeps them. The old ones are not kept here.
	Versioned bool
	// Locked is until when a bucket with object lock says that it keeps its objects.
	Locked time.Time
	// PageSize of lists. 0 means 1000.
	PageSize int
	// Now is the server's clock. Nil means the machine's.
	Now func() time.Time

	mu      sync.Mutex
	objects map[string]object
	uploads map[string]*upload
	serial  int
	log     []string
}

type object struct {
	body     []byte
	etag     string
	checksum string
	sse      string
	modified time.Time
}

type upload struct {
	key       string
	initiated time.Time
	sse       string
	parts     map[int]object
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Objects are the keys, in order.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys()
}

func (s *Server) keys() []string {
	keys := make([]string, 0, len(s.objects))
	for k := range s.objects {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Uploads is the number of those that were begun and not finished.
func (s *Server) Uploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// Requests that were answered, as "METHOD key".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Object is what lies there.
func (s *Server) Object(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	return bytes.Clone(o.body), ok
}

// Encryption is the header that an object was stored with.
func (s *Server) Encryption(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key].sse
}

// Corrupt changes what lies there as a bad disk does: the checksum that the server keeps stays.
func (s *Server) Corrupt(key string, change func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[key]
	o.body = change(bytes.Clone(o.body))
	s.objects[key] = o
}

// Remove an object past the protocol.
func (s *Server) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
}

// Age makes everything that lies there older.
func (s *Server) Age(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.objects {
		o.modified = o.modified.Add(-by)
		s.objects[key] = o
	}
	for _, u := range s.uploads {
		u.initiated = u.initiated.Add(-by)
	}
}

// Put an object past the protocol.
func (s *Server) Put(key string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, object{body: body})
}

func (s *Server) store(key string, o object) object {
	if s.objects == nil {
		s.objects = map[string]object{}
	}
	if o.etag == "" {
		sum := md5.Sum(o.body) // S3's ETag is MD5
		o.etag = hex.EncodeToString(sum[:])
	}
	if o.checksum == "" {
		o.checksum = sumOf(o.body)
	}
	o.modified = s.now().Truncate(time.Second)
	s.objects[key] = o
	return o
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

type failure struct {
	status        int
	code, message string
}

func (f failure) Error() string { return f.code }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	bucket, key := s.split(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, r.Method+" "+key)
	err = s.authorize(r, body)
	if err == nil && bucket != s.Bucket {
		err = failure{404, "NoSuchBucket", "The specified bucket does not exist"}
	}
	if err == nil {
		err = s.serve(w, r, key, body)
	}
	if f, ok := err.(failure); ok { //nolint:errorlint // ours, never wrapped
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(f.status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><Region>%s</Region></Error>", f.code, f.message, s.Region)
		}
	}
}

// split finds bucket and key in the host or in the path.
func (s *Server) split(r *http.Request) (bucket, key string) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if strings.HasPrefix(r.Host, s.Bucket+".") {
		return s.Bucket, name
	}
	bucket, key, _ = strings.Cut(name, "/")
	return bucket, key
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, key string, body []byte) error {
	q := r.URL.Query()
	switch {
	case key == "" && r.Method == http.MethodGet && q.Has("location"):
		fmt.Fprintf(w, "<LocationConstraint>%s</LocationConstraint>", s.Region)
	case key == "" && r.Method == http.MethodGet && q.Has("uploads"):
		return s.listUploads(w, q)
	case key == "" && r.Method == http.MethodGet:
		return s.list(w, q)
	case r.Method == http.MethodPost && q.Has("uploads"):
		return s.begin(w, r, key)
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return s.part(w, r, key, q, body)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return s.complete(w, key, q, body)
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		if _, err := s.find(key, q); err != nil {
			return err
		}
		delete(s.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		return s.put(w, r, key, body)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return s.get(w, r, key)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		return failure{501, "NotImplemented", r.Method}
	}
	return nil
}

// declared compares a body with the checksum that its request declares; a store that keeps none does not know the header.
func (s *Server) declared(r *http.Request, body []byte) error {
	if want := r.Header.Get("X-Amz-Checksum-Sha256"); want != "" && !s.NoChecksums && want != sumOf(body) {
		return failure{400, "BadDigest", "The SHA256 you specified did not match the calculated checksum."}
	}
	return nil
}

func (s *Server) put(w http.ResponseWriter, r *http.Request, key string, body []byte) error {
	if err := s.declared(r, body); err != nil {
		return err
	}
	if _, there := s.objects[key]; there && r.Header.Get("If-None-Match") == "*" && !s.NoConditions {
		return failure{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
	}
	o := s.store(key, object{body: body, sse: r.Header.Get("X-Amz-Server-Side-Encryption")})
	w.Header().Set("ETag", `"`+o.etag+`"`)
	s.checksumHeader(w, o)
	return nil
}

func (s *Server) checksumHeader(w http.ResponseWriter, o object) {
	if !s.NoChecksums {
		w.Header().Set("X-Amz-Checksum-Sha256", o.checksum)
	}
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, key string) error {
	o, ok := s.objects[key]
	if !ok {
		return failure{404, "NoSuchKey", "The specified key does not exist."}
	}
	if match := strings.Trim(r.Header.Get("If-Match"), `"`); match != "" && match != o.etag {
		return failure{412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	if s.Versioned {
		w.Header().Set("X-Amz-Version-Id", "v"+o.etag)
	}
	if !s.Locked.IsZero() {
		w.Header().Set("X-Amz-Object-Lock-Mode", "GOVERNANCE")
		w.Header().Set("X-Amz-Object-Lock-Retain-Until-Date", s.Locked.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.Header.Get("X-Amz-Checksum-Mode") != "" {
		s.checksumHeader(w, o)
	}
	http.ServeContent(w, r, "", o.modified, bytes.NewReader(o.body))
	return nil
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, key string) error {
	if s.uploads == nil {
		s.uploads = map[string]*upload{}
	}
	s.serial++
	id := "upload-" + strconv.Itoa(s.serial)
	s.uploads[id] = &upload{key: key, initiated: s.now(), sse: r.Header.Get("X-Amz-Server-Side-Encryption"), parts: map[int]object{}}
	fmt.Fprintf(w, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>", s.Bucket, key, id)
	return nil
}

func (s *Server) find(key string, q url.Values) (*upload, error) {
	u := s.uploads[q.Get("uploadId")]
	if u == nil || u.key != key {
		return nil, failure{404, "NoSuchUpload", "The specified multipart upload does not exist."}
	}
	return u, nil
}

func (s *Server) part(w http.ResponseWriter, r *http.Request, key string, q url.Values, body []byte) error {
	u, err := s.find(key, q)
	if err != nil {
		return err
	}
	if err := s.declared(r, body); err != nil {
		return err
	}
	number, err := strconv.Atoi(q.Get("partNumber"))
	if err != nil || number < 1 || number > 10000 {
		return failure{400, "InvalidArgument", "partNumber"}
	}
	sum := md5.Sum(body) // S3's ETag is MD5
	o := object{body: body, etag: hex.EncodeToString(sum[:]), checksum: sumOf(body)}
	u.parts[number] = o
	w.Header().Set("ETag", `"`+o.etag+`"`)
	s.checksumHeader(w, o)
	return nil
}

func (s *Server) complete(w http.ResponseWriter, key string, q url.Values, body []byte) error {
	u, err := s.find(key, q)
	if err != nil {
		return err
	}
	var asked struct {
		Part []struct {
			PartNumber     int
			ETag           string
			ChecksumSHA256 string
		}
	}
	if err := xml.Unmarshal(body, &asked); err != nil {
		return failure{400, "MalformedXML", err.Error()}
	}
	var whole object
	sums := sha256.New()
	for i, p := range asked.Part {
		o, ok := u.parts[p.PartNumber]
		if !ok || o.etag != strings.Trim(p.ETag, `"`) || (p.ChecksumSHA256 != "" && p.ChecksumSHA256 != o.checksum) {
			return failure{400, "InvalidPart", "One or more of the specified parts could not be found."}
		}
		if i > 0 && asked.Part[i-1].PartNumber >= p.PartNumber {
			return failure{400, "InvalidPartOrder", "The list of parts was not in ascending order."}
		}
		if len(o.body) < 5<<20 && i < len(asked.Part)-1 {
			return failure{400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size."}
		}
		sum := sha256.Sum256(o.body)
		sums.Write(sum[:])
		whole.body = append(whole.body, o.body...)
	}
	whole.checksum = fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(sums.Sum(nil)), len(asked.Part))
	whole.sse = u.sse
	whole.etag = hex.EncodeToString(sums.Sum(nil)[:16]) + "-" + strconv.Itoa(len(asked.Part))
	whole = s.store(key, whole)
	delete(s.uploads, q.Get("uploadId"))
	checksum := whole.checksum
	if s.NoChecksums {
		checksum = ""
	}
	fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>%s</ETag><ChecksumSHA256>%s</ChecksumSHA256></CompleteMultipartUploadResult>",
		s.Bucket, key, whole.etag, checksum)
	return nil
}
