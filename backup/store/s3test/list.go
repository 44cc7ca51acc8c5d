package s3test

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

type listed struct {
	Key          string
	Size         int
	LastModified string
	ETag         string
}

type folder struct{ Prefix string }

func (s *Server) list(w http.ResponseWriter, q url.Values) error {
	var answer struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		EncodingType          string
		IsTruncated           bool
		NextContinuationToken string
		Contents              []listed
		CommonPrefixes        []folder
	}
	answer.EncodingType = "url"
	size := s.PageSize
	if size == 0 {
		size = 1000
	}
	prefix, delimiter, after := q.Get("prefix"), q.Get("delimiter"), q.Get("continuation-token")
	last, n := "", 0
	for _, key := range s.keys() {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		name := key
		if head, _, found := strings.Cut(rest, delimiter); delimiter != "" && found {
			name = prefix + head + delimiter
		}
		if name <= after || name == last {
			continue
		}
		if n == size {
			answer.IsTruncated, answer.NextContinuationToken = true, last
			break
		}
		n++
		last = name
		if name != key {
			answer.CommonPrefixes = append(answer.CommonPrefixes, folder{escape(name)})
			continue
		}
		o := s.objects[key]
		answer.Contents = append(answer.Contents, listed{Key: escape(key), Size: len(o.body), LastModified: o.modified.UTC().Format(time.RFC3339), ETag: o.etag})
	}
	return xml.NewEncoder(w).Encode(answer)
}

// escape as encoding-type=url asks for, which the client library always sends.
func escape(key string) string { return url.QueryEscape(key) }

func (s *Server) listUploads(w http.ResponseWriter, q url.Values) error {
	type one struct {
		Key       string
		UploadID  string `xml:"UploadId"`
		Initiated string
	}
	var answer struct {
		XMLName      xml.Name `xml:"ListMultipartUploadsResult"`
		EncodingType string
		Upload       []one
	}
	answer.EncodingType = "url"
	ids := make([]string, 0, len(s.uploads))
	for id := range s.uploads {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		u := s.uploads[id]
		if strings.HasPrefix(u.key, q.Get("prefix")) {
			answer.Upload = append(answer.Upload, one{escape(u.key), id, u.initiated.UTC().Format(time.RFC3339)})
		}
	}
	return xml.NewEncoder(w).Encode(answer)
}
