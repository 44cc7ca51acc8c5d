package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
)

// Mutant is one change of one file.
type Mutant struct {
	File     string // relative to the module
	Function string
	Line     int
	Offset   int // of what is replaced, and its length
	Length   int
	With     string
	// From and To are the offsets of the boolean expression that changes; both 0 for what is none, which is compiled by itself.
	From, To int
	// Was is the expression around it, and N tells mutants of one function apart that read the same.
	Was, Becomes string
	N            int
}

// String is for a reader.
func (m Mutant) String() string {
	return fmt.Sprintf("%s:%d %s: %s -> %s", m.File, m.Line, m.Function, m.Was, m.Becomes)
}

// ID stays the same when lines move.
func (m Mutant) ID() string {
	id := fmt.Sprintf("%s %s: %s -> %s", m.File, m.Function, m.Was, m.Becomes)
	if m.N > 1 {
		id += fmt.Sprintf(" #%d", m.N)
	}
	return id
}

// comparisons are what each may be mistaken for: the neighbour that differs at the boundary, and the opposite.
var comparisons = map[token.Token][]token.Token{
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
}

func mutate(name string, text []byte) ([]Mutant, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	var all []Mutant
	same := map[string]int{}
	source := func(from, to token.Pos) string {
		return string(text[fset.Position(from).Offset:fset.Position(to).Offset])
	}
	for _, decl := range file.Decls {
		function := "(declarations)"
		if f, ok := decl.(*ast.FuncDecl); ok {
			function = f.Name.Name
		}
		d, ok := decl.(*ast.GenDecl)
		constant := ok && d.Tok == token.CONST
		// add replaces the source from..to within the expression around.
		add := func(around ast.Expr, from, to token.Pos, with string) {
			at := fset.Position(from)
			m := Mutant{
				File: name, Function: function, Line: at.Line, Offset: at.Offset, Length: fset.Position(to).Offset - at.Offset, With: with,
				Was:     oneLine(source(around.Pos(), around.End())),
				Becomes: oneLine(source(around.Pos(), from) + with + source(to, around.End())),
			}
			if decided(around) && !constant {
				m.From, m.To = fset.Position(around.Pos()).Offset, fset.Position(around.End()).Offset
			}
			key := m.ID()
			same[key]++
			m.N = same[key]
			all = append(all, m)
		}
		shifted := map[ast.Expr]bool{}
		ast.Inspect(decl, func(n ast.Node) bool {
			switch e := n.(type) {
			case *ast.DeclStmt: // a constant of a function cannot be decided at run time
				d, ok := e.Decl.(*ast.GenDecl)
				return !ok || d.Tok != token.CONST
			case *ast.BinaryExpr:
				for _, other := range comparisons[e.Op] {
					add(e, e.OpPos, e.OpPos+token.Pos(len(e.Op.String())), other.String())
				}
				switch {
				case compares(e.Op):
					for _, side := range []ast.Expr{e.X, e.Y} {
						shift(side, func(at ast.Expr, with string) { add(e, at.Pos(), at.End(), with) })
						within(side, shifted)
					}
				case !connects(e.Op) && !shifted[e]: // what a comparison elsewhere is made of
					shift(e, func(at ast.Expr, with string) { add(e, at.Pos(), at.End(), with) })
					within(e, shifted)
				}
			case *ast.CallExpr:
				if f, ok := e.Fun.(*ast.Ident); ok && opposite[f.Name] != "" && len(e.Args) > 1 {
					add(e, f.Pos(), f.End(), opposite[f.Name])
				}
			case *ast.UnaryExpr:
				if e.Op == token.NOT {
					add(e, e.OpPos, e.OpPos+1, "")
				}
			case *ast.ValueSpec: // limits that comparisons refer to by their names
				if constant {
					for _, v := range e.Values {
						shift(v, func(at ast.Expr, with string) { add(v, at.Pos(), at.End(), with) })
					}
				}
			}
			return true
		})
	}
	return all, nil
}

func compares(op token.Token) bool {
	switch op {
	case token.LSS, token.LEQ, token.GTR, token.GEQ, token.EQL, token.NEQ:
		return true
	}
	return false
}

func connects(op token.Token) bool { return op == token.LAND || op == token.LOR }

// opposite of the built-in functions that are comparisons too.
var opposite = map[string]string{"min": "max", "max": "min"}

// decided says whether an expression is a boolean, so that which mutant it is can be decided at run time; the others are compiled one by one.
func decided(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return compares(e.Op) || connects(e.Op)
	case *ast.UnaryExpr:
		return e.Op == token.NOT
	}
	return false
}

// within marks the sums and the like of an operand, whose numbers were shifted with it.
func within(e ast.Expr, mark map[ast.Expr]bool) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if !compares(e.Op) && !connects(e.Op) {
			mark[e] = true
			within(e.X, mark)
			within(e.Y, mark)
		}
	case *ast.ParenExpr:
		within(e.X, mark)
	case *ast.UnaryExpr:
		within(e.X, mark)
	}
}

// shift visits the whole numbers of an operand, one more and one less; also those inside of sums, quotients and the like, but not what is handed to functions.
func shift(e ast.Expr, visit func(at ast.Expr, with string)) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.INT {
			return
		}
		if n, err := strconv.ParseInt(e.Value, 0, 64); err == nil {
			visit(e, strconv.FormatInt(n+1, 10))
			visit(e, "("+strconv.FormatInt(n-1, 10)+")")
		}
	case *ast.BinaryExpr:
		if !compares(e.Op) && !connects(e.Op) {
			shift(e.X, visit)
			shift(e.Y, func(at ast.Expr, with string) {
				if (e.Op == token.QUO || e.Op == token.REM) && with == "(0)" {
					return // is no program
				}
				visit(at, with)
			})
		}
	case *ast.ParenExpr:
		shift(e.X, visit)
	case *ast.UnaryExpr:
		if e.Op == token.SUB {
			shift(e.X, visit)
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
