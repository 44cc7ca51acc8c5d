package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Token mints what the server's own login would return: it checks signature and expiry of an HS256 token and nothing else (seen on 0.4.11), so no password has to travel.
func Token(secret string, now time.Time, ttl time.Duration) (string, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "robustmq-operator", "iat": now.Unix(), "exp": now.Add(ttl).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("minting a token: %w", err)
	}
	return token, nil
}

// Client calls one server's admin API.
type Client struct {
	Base string // http://host:port
	HTTP *http.Client
	// Secret returns the key of the tokens; an empty one sends no token (before 0.4.2 there are none).
	Secret func() string
	Now    func() time.Time
}

// Limits of a call.
const (
	tokenTTL  = 5 * time.Minute
	maxAnswer = 32 << 20
	// pageSize is more than any list of the operator's has; without a limit the server sends ten rows.
	pageSize = 1000
	maxPages = 1000
)

// Raw sends a request with a token and returns status and body as they are. path starts with "/".
func (c *Client) Raw(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	var payload io.Reader
	if body != nil {
		payload = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, payload)
	if err != nil {
		return 0, nil, fmt.Errorf("admin API %s: %w", path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json") // without it: 415
	}
	if secret := c.Secret(); secret != "" {
		token, err := Token(secret, c.Now(), tokenTTL)
		if err != nil {
			return 0, nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token) // exactly so: "bearer" is refused
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return 0, nil, fmt.Errorf("admin API: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("admin API %s: reading the answer: %w", path, err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, fmt.Errorf("admin API %s: answer is larger than %d bytes", path, maxAnswer)
	}
	return response.StatusCode, answer, nil
}

// Call sends a JSON body (nil: none) and returns the data of the envelope; what the server reports as a failure is an *Error.
func (c *Client) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("admin API %s: encoding the body: %w", path, err)
		}
	}
	status, answer, err := c.Raw(ctx, method, path, encoded)
	if err != nil {
		return nil, err
	}
	return DecodeEnvelope(status, answer)
}

// List returns all rows of a list endpoint that is paged by its query.
func (c *Client) List(ctx context.Context, path string) ([]json.RawMessage, error) {
	var rows []json.RawMessage
	for page := 1; page <= maxPages; page++ {
		data, err := c.Call(ctx, http.MethodGet, withPage(path, page), nil)
		if err != nil {
			return nil, err
		}
		var list struct {
			Data  []json.RawMessage `json:"data"`
			Total int               `json:"total_count"`
		}
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, fmt.Errorf("admin API %s: list: %w", path, err)
		}
		rows = append(rows, list.Data...)
		if len(rows) >= list.Total || len(list.Data) == 0 {
			return rows, nil
		}
	}
	return nil, fmt.Errorf("admin API %s: more than %d pages", path, maxPages)
}

func withPage(path string, page int) string {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "page": {strconv.Itoa(page)}}.Encode()
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}
