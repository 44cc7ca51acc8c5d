package simulator

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

func FuzzWhatIsTakenAsAConnectorsFileIsAnAbsolutePathAndIsReadAgain(f *testing.F) {
	for _, seed := range []string{
		`{"local_file_path":"/var/out.txt","rotation_strategy":"none","max_size_gb":1}`, `{"local_file_path":"/dev/full"}`, `{"local_file_path":"out.txt"}`, `{"local_file_path":"/a/../b"}`,
		`{"local_file_path":"/","rotation_strategy":"None"}`, `{"local_file_path":"/x","rotation_strategy":"size","max_size_gb":11}`, `{"local_file_path":7}`, `{}`, `{`, `null`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, config string) {
		taken, err := parseFileTarget(config)
		if err != nil {
			return
		}
		if !filepath.IsAbs(taken.Path) {
			t.Errorf("%q is taken: %q", config, taken.Path)
		}
		var again fileTarget
		if err := json.Unmarshal(mustJSON(taken), &again); err != nil || again != taken {
			t.Errorf("%q is read again as %+v, %v", config, again, err)
		}
	})
}
