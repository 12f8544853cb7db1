/* SPDX-License-Identifier: Apache-2.0
 * Graphs of fake_cuda.c: the kernels that a captured stream was given, in their order. They run
 * when the graph is launched. What breaks a capture of the real driver breaks it here: what a thread
 * must not call meanwhile (UNSAFE), the default stream beside a blocking one, events from outside. */
struct graph { /* an executable one too */
  int alive, executable;
  struct context *owner;
  size_t count;
  struct node *first, *last;
};
#define NEED_GRAPH(g, kind) if (!(g) || !(g)->alive || (g)->executable != (kind)) return INVALID_VALUE

static struct graph *make_graph(struct context *owner, int executable) {
  struct graph *made = calloc(1, sizeof *made);
  made->alive = 1, made->executable = executable, made->owner = owner;
  return made;
}

static void append(struct graph *graph, const struct node *n) {
  struct node *made = malloc(sizeof *made);
  *made = *n, made->next = NULL;
  int count = 0;
  while (parameter_bytes(n->function->name, count)) ++count;
  made->parameters = malloc((count + 1) * sizeof(void *));
  for (int i = 0; i < count; ++i) {
    size_t bytes = parameter_bytes(n->function->name, i);
    made->parameters[i] = memcpy(malloc(bytes), n->parameters[i], bytes);
  }
  if (graph->last) graph->last->next = made;
  else graph->first = made;
  graph->last = made, ++graph->count;
}

API cuStreamIsCapturing(struct thing *stream, int *status) {
  CALL(cuStreamIsCapturing, "");
  NEED_OWN(stream);
  if (!stream && blocking_capture) return IMPLICIT;
  *status = !stream || !stream->graph ? 0 : stream->broken ? 2 : 1;
  return 0;
}
API cuStreamBeginCapture_v2(struct thing *stream, int mode) {
  CALL(cuStreamBeginCapture_v2, "%d", mode);
  if (mode < 0 || mode > 2) return INVALID_VALUE;
  if (!stream) return UNSUPPORTED;
  NEED_OWN(stream);
  if (stream->graph) return ILLEGAL_STATE;
  stream->graph = make_graph(current, 0), stream->broken = 0;
  stream->thread = syscall(SYS_gettid);
  if (mode != 2) captured = stream;
  if (!(stream->flags & 1)) blocking_capture = stream;
  return 0;
}
API cuStreamEndCapture(struct thing *stream, struct graph **graph) {
  note("cuStreamEndCapture");
  if (!stream || !stream->graph) return ILLEGAL_STATE;
  if (stream->thread != syscall(SYS_gettid)) return WRONG_THREAD;
  if (fails("cuStreamEndCapture")) stream->broken = 1;
  *graph = stream->broken ? NULL : stream->graph;
  stream->graph = NULL;
  if (captured == stream) captured = NULL;
  if (blocking_capture == stream) blocking_capture = NULL;
  return *graph ? 0 : INVALIDATED;
}
API cuGraphGetNodes(struct graph *graph, void *nodes, size_t *count) {
  CALL(cuGraphGetNodes, "");
  NEED_GRAPH(graph, 0);
  if (nodes) return INVALID_VALUE;
  *count = atoi(told("FAKE_GRAPH_KERNELS", "0"));
  if (!*count) *count = graph->count;
  return 0;
}
API cuGraphInstantiateWithFlags(struct graph **executable, struct graph *graph,
                                unsigned long long flags) {
  CALL(cuGraphInstantiateWithFlags, "%zu kernels", graph->count);
  NEED_GRAPH(graph, 0);
  if (flags) return INVALID_VALUE;
  *executable = make_graph(graph->owner, 1);
  for (struct node *n = graph->first; n; n = n->next) append(*executable, n);
  return 0;
}
API cuGraphLaunch(struct graph *graph, struct thing *stream) {
  CALL(cuGraphLaunch, "%zu kernels stream %p", graph->count, (void *)stream);
  NEED_GRAPH(graph, 1);
  NEED_OWN(stream);
  NOT_CAPTURED(stream);
  if (graph->owner != current) return HANDLE;
  int error = 0;
  for (struct node *n = graph->first; n && !error; n = n->next) error = run_node(n);
  return error;
}
/* What is left of one tells those who use it still. */
static int destroy(struct graph *graph) {
  graph->alive = 0;
  for (struct node *n = graph->first, *next; n; n = next) {
    next = n->next;
    for (int i = 0; parameter_bytes(n->function->name, i); ++i) free(n->parameters[i]);
    free(n->parameters), free(n);
  }
  graph->first = graph->last = NULL;
  return 0;
}
API cuGraphDestroy(struct graph *graph) {
  CALL(cuGraphDestroy, "");
  NEED_GRAPH(graph, 0);
  return destroy(graph);
}
API cuGraphExecDestroy(struct graph *graph) {
  CALL(cuGraphExecDestroy, "");
  NEED_GRAPH(graph, 1);
  return destroy(graph);
}
