package optimize

import "math"

// cutGraph is a graph whose vertices are put on one of two sides so that the
// edges that lead from the first side to the second cost least.
type cutGraph struct {
	next       [][]int // edges by vertex
	to, cap    []int   // edge e and its reverse e^1
	level, pos []int
}

// The vertices that stand for the two sides.
const (
	cutOne  = 0
	cutZero = 1
	cutInf  = math.MaxInt / 8
)

func newCutGraph() *cutGraph {
	g := &cutGraph{}
	g.vertex()
	g.vertex()
	return g
}

// vertex adds a vertex.
func (g *cutGraph) vertex() int {
	g.next = append(g.next, nil)
	return len(g.next) - 1
}

// edge makes it cost c that a is on side one and b on side zero.
func (g *cutGraph) edge(a, b, c int) {
	if c <= 0 || a == b {
		return
	}
	g.next[a] = append(g.next[a], len(g.to))
	g.next[b] = append(g.next[b], len(g.to)+1)
	g.to = append(g.to, b, a)
	g.cap = append(g.cap, c, 0)
}

// solve returns the least cost, and which vertices are on side one: as few as
// that cost allows. It is Dinic's algorithm.
func (g *cutGraph) solve() (cost int, one []bool) {
	for g.levels() {
		g.pos = make([]int, len(g.next))
		for {
			f := g.push(cutOne, cutInf)
			if f == 0 {
				break
			}
			cost += f
		}
	}
	one = make([]bool, len(g.next))
	for v, l := range g.level {
		one[v] = l >= 0
	}
	return cost, one
}

// levels numbers the vertices by their distance from cutOne along edges with
// capacity left, and reports whether cutZero can be reached.
func (g *cutGraph) levels() bool {
	g.level = make([]int, len(g.next))
	for i := range g.level {
		g.level[i] = -1
	}
	g.level[cutOne] = 0
	queue := []int{cutOne}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		for _, e := range g.next[v] {
			if w := g.to[e]; g.cap[e] > 0 && g.level[w] < 0 {
				g.level[w] = g.level[v] + 1
				queue = append(queue, w)
			}
		}
	}
	return g.level[cutZero] >= 0
}

// push sends up to most units from v to cutZero along one shortest path. It
// keeps the path itself, since graphs can be thousands of vertices deep.
func (g *cutGraph) push(v, most int) int {
	var path []int
	for v != cutZero {
		if g.pos[v] == len(g.next[v]) {
			if len(path) == 0 {
				return 0
			}
			e := path[len(path)-1] // a dead end
			path = path[:len(path)-1]
			v = g.to[e^1]
			g.pos[v]++
			continue
		}
		e := g.next[v][g.pos[v]]
		if w := g.to[e]; g.cap[e] > 0 && g.level[w] == g.level[v]+1 {
			path = append(path, e)
			v = w
			continue
		}
		g.pos[v]++
	}
	for _, e := range path {
		most = min(most, g.cap[e])
	}
	for _, e := range path {
		g.cap[e] -= most
		g.cap[e^1] += most
	}
	return most
}
