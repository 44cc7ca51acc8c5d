// Package spelling tells how far a word is from the one that was probably meant.
package spelling

// Distance is how many bytes have to be put in, taken out or replaced to make b of a (Levenshtein), counted up to limit: words that are further apart are limit apart.
// It costs len(a)·len(b) steps at most, and none where the lengths alone differ by limit.
func Distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return min(row[len(b)], limit)
}
