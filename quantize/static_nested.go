package quantize

// Graphs in nodes are planned each by itself, with ranges that go over all iterations. What one
// captures is rounded where it begins, and weights that several read are stored once. In
// loops only products with weights are quantised, and with QDQ give floats: errors of rounding
// what is carried from iteration to iteration would add up.

// nestedReason is why a node with graphs in it stays.
const nestedReason = "what is in its graphs is quantised there"

// nest plans the graphs in the nodes of p's graph.
func (p *plan) nest() {
	for _, n := range p.order {
		for _, b := range n.Bodies() {
			q := newPlan(b, p.ranges, p.c, p.acts, p.weights)
			q.loop = p.loop || n.Op != "If"
			q.decide()
			q.nest()
			p.nested = append(p.nested, q)
		}
	}
}
