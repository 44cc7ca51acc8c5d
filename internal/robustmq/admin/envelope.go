package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Error is an answer of the admin API that is not a success. RobustMQ says most failures with HTTP 200 and a code in the body, some with a status of their own.
type Error struct {
	Status  int    // HTTP status
	Code    int    // the envelope's code; 0 when there was no envelope
	Message string // the server's words
}

func (e *Error) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("admin API answered code %d: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("admin API answered HTTP %d: %s", e.Status, e.Message)
}

// maxMessage bounds what is kept of a body that is not an envelope.
const maxMessage = 512

// DecodeEnvelope returns the data of {"code":0,"data":...,"error":null}. Anything else is an *Error: a code that is not 0 (also with HTTP 200: the usual form of a
// failure), 401 and login (which say "message" where others say "error"), statuses without an envelope (404, 405, 415 and 422 answer plain text or nothing).
func DecodeEnvelope(status int, body []byte) (json.RawMessage, error) {
	var envelope struct {
		Code    *int            `json:"code"`
		Data    json.RawMessage `json:"data"`
		Error   *string         `json:"error"`
		Message *string         `json:"message"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Code == nil {
		text := strings.ToValidUTF8(string(bytes.TrimSpace(body[:min(len(body), maxMessage)])), "?")
		if text == "" {
			text = http.StatusText(status)
		}
		return nil, &Error{Status: status, Message: text}
	}
	if *envelope.Code == 0 && status/100 == 2 {
		return envelope.Data, nil
	}
	e := &Error{Status: status, Code: *envelope.Code}
	switch {
	case envelope.Error != nil && *envelope.Error != "":
		e.Message = *envelope.Error
	case envelope.Message != nil:
		e.Message = *envelope.Message
	default:
		e.Message = healthMessage(envelope.Data)
	}
	return nil, e
}

// healthMessage finds the text of /api/health/ready, which answers 503 with code 0 and its words inside the data.
func healthMessage(data json.RawMessage) string {
	var health struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(data, &health); err != nil {
		return ""
	}
	return health.Message
}
