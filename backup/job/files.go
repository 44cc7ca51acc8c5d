package job

// Files in the pod of a Job. The operator mounts them; their contents are the only secrets that a Job has.
const (
	// CredentialsDir holds the keys of the Secret that destination.credentialsSecretName names.
	CredentialsDir = "/etc/robustmq-operator/s3"
	// AccessKeyFile and SecretKeyFile in CredentialsDir are needed together; SessionTokenFile is there for temporary ones.
	AccessKeyFile    = "accessKey"
	SecretKeyFile    = "secretKey"
	SessionTokenFile = "sessionToken"
	// CustomerKeyFile in CredentialsDir, if it is there, is the key of 32 bytes, in base64, that the store encrypts every object with and does not keep (SSE-C).
	CustomerKeyFile = "sseCustomerKey"

	// CAFile is the authority of the endpoint's certificate.
	CAFile = "/etc/robustmq-operator/s3-ca/ca.crt"
	// IdentityFile is an identity of age, mounted only for a restore, and for a full verification of encrypted backups that asks for it.
	IdentityFile = "/etc/robustmq-operator/identity/identity"
	// The client certificate (protocol.ClientJob) is in protocol.PKIDir: ca.crt, tls.crt, tls.key. Only Take and Restore need it.

	// TerminationMessage is where the Result goes: the container's terminationMessagePath, which Kubernetes sets to this by default.
	TerminationMessage = "/dev/termination-log"
)
