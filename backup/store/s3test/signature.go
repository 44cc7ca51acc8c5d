package s3test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// authorize checks a request as AWS, "Authenticating Requests (AWS Signature Version 4)" says, with the errors that S3 answers with.
func (s *Server) authorize(r *http.Request, body []byte) error {
	fields := map[string]string{}
	header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return failure{403, "AccessDenied", "Access Denied"}
	}
	for field := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[0] != s.AccessKey {
		return failure{403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	}
	if scope[2] != s.Region {
		return failure{400, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '" + scope[2] + "' is wrong; expecting '" + s.Region + "'"}
	}
	if s.SessionToken != "" && r.Header.Get("X-Amz-Security-Token") != s.SessionToken {
		return failure{400, "ExpiredToken", "The provided token has expired."}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || s.now().Sub(at).Abs() > 15*time.Minute {
		return failure{403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large."}
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	sum := sha256.Sum256(body)
	if payload != "UNSIGNED-PAYLOAD" && payload != hex.EncodeToString(sum[:]) {
		return failure{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	if fields["Signature"] != s.sign(r, scope, fields["SignedHeaders"], payload) {
		return failure{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."}
	}
	return nil
}

func (s *Server) sign(r *http.Request, scope []string, signed, payload string) string {
	var headers strings.Builder
	for name := range strings.SplitSeq(signed, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get("Content-Length")
		}
		headers.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	canonical := strings.Join([]string{r.Method, path, strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"), headers.String(), signed, payload}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), strings.Join(scope[1:], "/"), hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + s.SecretKey)
	for _, part := range append(append([]string{}, scope[1:]...), text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}
