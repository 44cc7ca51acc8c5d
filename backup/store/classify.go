package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
)

// byCode are S3's error codes (AWS, "Error responses", and those that MinIO, Ceph and versitygw add).
var byCode = map[string]Kind{
	"NoSuchKey":                          KindNotFound,
	"NoSuchUpload":                       KindNotFound,
	"PreconditionFailed":                 KindExists,
	"ConditionalRequestConflict":         KindTransient,
	"OperationAborted":                   KindTransient,
	"AccessDenied":                       KindDenied,
	"AllAccessDisabled":                  KindDenied,
	"AccountProblem":                     KindDenied,
	"InvalidAccessKeyId":                 KindCredentials,
	"SignatureDoesNotMatch":              KindCredentials,
	"InvalidToken":                       KindCredentials,
	"InvalidTokenId":                     KindCredentials,
	"InvalidClientTokenId":               KindCredentials,
	"ExpiredToken":                       KindExpired,
	"ExpiredTokenException":              KindExpired,
	"TokenRefreshRequired":               KindExpired,
	"PermanentRedirect":                  KindWrongRegion,
	"TemporaryRedirect":                  KindTransient,
	"AuthorizationHeaderMalformed":       KindWrongRegion,
	"InvalidRegion":                      KindWrongRegion,
	"IllegalLocationConstraintException": KindWrongRegion,
	"NoSuchBucket":                       KindBucketMissing,
	"InvalidBucketName":                  KindBucketMissing,
	"RequestTimeTooSkewed":               KindClockSkew,
	"RequestExpired":                     KindClockSkew,
	"QuotaExceeded":                      KindFull,
	"QuotaExceededException":             KindFull,
	"XMinioStorageFull":                  KindFull,
	"XMinioAdminBucketQuotaExceeded":     KindFull,
	"EntityTooLarge":                     KindInvalid,
	"BadDigest":                          KindMismatch,
	"XAmzContentSHA256Mismatch":          KindMismatch,
	"XAmzContentChecksumMismatch":        KindMismatch,
	"SlowDown":                           KindTransient,
	"SlowDownRead":                       KindTransient,
	"SlowDownWrite":                      KindTransient,
	"InternalError":                      KindTransient,
	"ServiceUnavailable":                 KindTransient,
	"RequestTimeout":                     KindTransient,
	"RequestTimeTooLong":                 KindTransient,
	"Throttling":                         KindTransient,
	"ThrottlingException":                KindTransient,
	"BandwidthLimitExceeded":             KindTransient,
	"IncompleteBody":                     KindTransient,
	"XMinioServerNotInitialized":         KindTransient,
	"KMS.DisabledException":              KindDenied,
	"KMS.NotFoundException":              KindDenied,
}

// classify finds the kind of what the client library returned, and what of it may be shown.
func classify(err error) (kind Kind, detail string) {
	var response minio.ErrorResponse
	switch {
	case errors.As(err, &response):
		return classifyResponse(response)
	case errors.Is(err, context.Canceled):
		return KindTransient, "it was called off"
	case errors.Is(err, context.DeadlineExceeded):
		return KindTransient, "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return KindTransient, "the connection was cut"
	}

	var (
		verification *tls.CertificateVerificationError
		unknown      x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
		dns          *net.DNSError
	)
	switch {
	case errors.As(err, &verification), errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return KindCertificate, err.Error()
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return KindCertificate, "the endpoint does not speak TLS: an endpoint without it is written with http://"
	case errors.As(err, &dns) && dns.IsNotFound:
		return KindTransient, "the name of the endpoint is not known: " + dns.Name
	}
	return KindTransient, err.Error()
}

func classifyResponse(r minio.ErrorResponse) (Kind, string) {
	detail := strings.TrimSpace(fmt.Sprintf("%d %s: %s", r.StatusCode, r.Code, r.Message))
	kind, known := byCode[r.Code]
	if !known {
		switch {
		case r.StatusCode == http.StatusInsufficientStorage:
			kind = KindFull
		case r.StatusCode >= 500, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout, r.StatusCode == 499:
			kind = KindTransient
		case r.StatusCode == http.StatusMovedPermanently, r.StatusCode == http.StatusTemporaryRedirect:
			kind = KindWrongRegion
		case r.StatusCode == http.StatusUnauthorized:
			kind = KindCredentials
		case r.StatusCode == http.StatusForbidden:
			kind = KindDenied
		case r.StatusCode == http.StatusNotFound:
			kind = KindNotFound
		case r.StatusCode == http.StatusPreconditionFailed:
			kind = KindExists
		case r.StatusCode == http.StatusBadRequest:
			kind = KindInvalid
		case r.StatusCode == 0: // made up by the client library: arguments that it does not take
			kind = KindInvalid
		default:
			kind = KindOther
		}
	}
	if kind == KindWrongRegion && r.Region != "" {
		detail = "it is in " + r.Region + "; " + detail
	}
	return kind, detail
}
