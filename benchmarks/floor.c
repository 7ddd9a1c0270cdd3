/* The floor: the same training steps as the library's, and nothing else; or, with `look_every_epoch`, the gradient of all
 * training rows and the accuracy on all test rows after every epoch too.
 *
 * One seed for each lane of a vector register. A batch goes through the network layer by layer; the gradient of a
 * layer's kernel is summed over the batch in registers. Compile with -DFEATURES, -DWIDTH, -DHIDDEN and -DBATCH.
 *
 * Layouts, the last axis is always the lane:
 *   params, momenta  [group][PARAMETERS][LANES]   layers input side first; a kernel (fan_in, fan_out), then its bias
 *   orders           [group][orders][rows][LANES] the row that a lane takes at each place; epoch e takes e % orders
 */
#include <pthread.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define PARAMETERS ((FEATURES + 1) * WIDTH + (HIDDEN - 1) * (WIDTH + 1) * WIDTH + WIDTH + 1)
#define UNROLL _Pragma("GCC unroll 64")

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));

static inline vector spread(float value) { return value - (vector){0}; }

static inline vector least(vector a, vector b) {
    mask below = a < b;
    return (vector)(((mask)a & below) | ((mask)b & ~below));
}

/* Rational in x^2, odd: 7.9 is where float32 has no more to tell from 1. */
static inline vector tanh_vector(vector x) {
    const vector bound = spread(7.90531110763549805f);
    x = least(bound, -least(bound, -x));
    vector square = x * x;
    vector above = spread(-2.76076847742355e-16f);
    above = above * square + 2.00018790482477e-13f;
    above = above * square + -8.60467152213735e-11f;
    above = above * square + 5.12229709037114e-08f;
    above = above * square + 1.48572235717979e-05f;
    above = above * square + 6.37261928875436e-04f;
    above = above * square + 4.89352455891786e-03f;
    vector below = spread(1.19825839466702e-06f);
    below = below * square + 1.18534705686654e-04f;
    below = below * square + 2.26843463243900e-03f;
    below = below * square + 4.89352518554385e-03f;
    return x * above / below;
}

static inline vector sigmoid_vector(vector x) { return 0.5f + 0.5f * tanh_vector(0.5f * x); }

struct work {
    int group_count, rows, epochs, order_count, look_every_epoch, test_rows;
    float learning_rate, momentum;
    const float *x;         /* [rows][FEATURES] */
    const float *y;         /* [rows] */
    const float *test_x;    /* [test_rows][FEATURES] */
    const float *test_y;    /* [test_rows] */
    const uint16_t *orders;
    vector *params, *momenta;
    vector *gradients;      /* [group][PARAMETERS], of all training rows, as it was last looked at */
    vector *right;          /* [group], test rows that are classified rightly, then too */
    int next_group;
};

struct scratch {
    vector hidden[HIDDEN][BATCH][WIDTH], delta[BATCH][WIDTH], below[BATCH][WIDTH], input[BATCH][FEATURES];
    vector error[BATCH], gradient[PARAMETERS], total[PARAMETERS];
};

static inline void dense(int rows, int inputs, const vector *restrict in, const vector *restrict kernel,
                         vector *restrict out) {
    const vector *bias = kernel + inputs * WIDTH;
    for (int row = 0; row < rows; row++) {
        vector sums[WIDTH];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) sums[unit] = bias[unit];
        UNROLL for (int source = 0; source < inputs; source++)
            UNROLL for (int unit = 0; unit < WIDTH; unit++)
                sums[unit] += in[row * inputs + source] * kernel[source * WIDTH + unit];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) out[row * WIDTH + unit] = tanh_vector(sums[unit]);
    }
}

static inline void kernel_gradient(int rows, int inputs, const vector *restrict in, const vector *restrict delta,
                                   vector *restrict gradient) {
    vector sums[(inputs + 1) * WIDTH];
    UNROLL for (int place = 0; place < (inputs + 1) * WIDTH; place++) sums[place] = spread(0);
    for (int row = 0; row < rows; row++) {
        UNROLL for (int source = 0; source < inputs; source++)
            UNROLL for (int unit = 0; unit < WIDTH; unit++)
                sums[source * WIDTH + unit] += in[row * inputs + source] * delta[row * WIDTH + unit];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) sums[inputs * WIDTH + unit] += delta[row * WIDTH + unit];
    }
    UNROLL for (int place = 0; place < (inputs + 1) * WIDTH; place++) gradient[place] = sums[place];
}

static inline void hidden_delta(int rows, const vector *restrict kernel, const vector *restrict delta,
                                const vector *restrict hidden, vector *restrict below) {
    for (int row = 0; row < rows; row++) {
        vector sums[WIDTH];
        UNROLL for (int source = 0; source < WIDTH; source++) sums[source] = spread(0);
        UNROLL for (int unit = 0; unit < WIDTH; unit++)
            UNROLL for (int source = 0; source < WIDTH; source++)
                sums[source] += kernel[source * WIDTH + unit] * delta[row * WIDTH + unit];
        UNROLL for (int source = 0; source < WIDTH; source++) {
            vector value = hidden[row * WIDTH + source];
            below[row * WIDTH + source] = sums[source] * (1.0f - value * value);
        }
    }
}

static void gather(const struct work *work, const uint16_t *order, int rows, struct scratch *s) {
    for (int row = 0; row < rows; row++) {
        const uint16_t *places = order + row * LANES;
        for (int feature = 0; feature < FEATURES; feature++)
            for (int lane = 0; lane < LANES; lane++)
                s->input[row][feature][lane] = work->x[places[lane] * FEATURES + feature];
        for (int lane = 0; lane < LANES; lane++) s->error[row][lane] = work->y[places[lane]];
    }
}

static void take(const float *x, const float *y, int rows, struct scratch *s) {
    for (int row = 0; row < rows; row++) {
        for (int feature = 0; feature < FEATURES; feature++)
            s->input[row][feature] = spread(x[row * FEATURES + feature]);
        s->error[row] = spread(y[row]);
    }
}

static void output_layer(int rows, const vector *restrict kernel, vector *restrict gradient, struct scratch *s) {
    vector (*top)[WIDTH] = s->hidden[HIDDEN - 1];
    vector sums[WIDTH + 1];
    UNROLL for (int unit = 0; unit < WIDTH + 1; unit++) sums[unit] = spread(0);
    for (int row = 0; row < rows; row++) {
        vector logit = kernel[WIDTH];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) logit += top[row][unit] * kernel[unit];
        vector error = (sigmoid_vector(logit) - s->error[row]) / (float)rows;
        UNROLL for (int unit = 0; unit < WIDTH; unit++) {
            sums[unit] += top[row][unit] * error;
            s->delta[row][unit] = kernel[unit] * error * (1.0f - top[row][unit] * top[row][unit]);
        }
        sums[WIDTH] += error;
    }
    UNROLL for (int unit = 0; unit < WIDTH + 1; unit++) gradient[unit] = sums[unit];
}

#define FIRST ((FEATURES + 1) * WIDTH)
#define EACH ((WIDTH + 1) * WIDTH)
#define LAST (FIRST + (HIDDEN - 1) * EACH)

static void forward(int rows, const vector *restrict params, struct scratch *s) {
    dense(rows, FEATURES, s->input[0], params, s->hidden[0][0]);
    for (int layer = 1; layer < HIDDEN; layer++)
        dense(rows, WIDTH, s->hidden[layer - 1][0], params + FIRST + (layer - 1) * EACH, s->hidden[layer][0]);
}

/* Of the rows that are in the scratch space, into its `gradient`. */
static void differentiate(int rows, const vector *restrict params, struct scratch *s) {
    forward(rows, params, s);
    output_layer(rows, params + LAST, s->gradient + LAST, s);
    vector *delta = s->delta[0], *below = s->below[0];
    for (int layer = HIDDEN - 1; layer > 0; layer--) {
        const int place = FIRST + (layer - 1) * EACH;
        kernel_gradient(rows, WIDTH, s->hidden[layer - 1][0], delta, s->gradient + place);
        hidden_delta(rows, params + place, delta, s->hidden[layer - 1][0], below);
        vector *swap = delta;
        delta = below, below = swap;
    }
    kernel_gradient(rows, FEATURES, s->input[0], delta, s->gradient);
}

static int at_most(int size, int rows) { return rows < size ? rows : size; }

static void look(const struct work *work, long group, const vector *restrict params, struct scratch *s) {
    for (int place = 0; place < PARAMETERS; place++) s->total[place] = spread(0);
    for (int start = 0; start < work->rows; start += BATCH) {
        const int rows = at_most(BATCH, work->rows - start);
        take(work->x + start * FEATURES, work->y + start, rows, s);
        differentiate(rows, params, s);
        const float share = (float)rows / work->rows;
        for (int place = 0; place < PARAMETERS; place++) s->total[place] += share * s->gradient[place];
    }
    for (int place = 0; place < PARAMETERS; place++) work->gradients[group * PARAMETERS + place] = s->total[place];
    vector right = spread(0);
    for (int start = 0; start < work->test_rows; start += BATCH) {
        const int rows = at_most(BATCH, work->test_rows - start);
        take(work->test_x + start * FEATURES, work->test_y + start, rows, s);
        forward(rows, params, s);
        for (int row = 0; row < rows; row++) {
            vector logit = params[LAST + WIDTH];
            UNROLL for (int unit = 0; unit < WIDTH; unit++)
                logit += s->hidden[HIDDEN - 1][row][unit] * params[LAST + unit];
            const mask agrees = (logit > 0) == (s->error[row] > 0);
            right -= __builtin_convertvector(agrees, vector);
        }
    }
    work->right[group] = right;
}

static void step(const struct work *work, const uint16_t *order, int rows, vector *restrict params,
                 vector *restrict momenta, struct scratch *s) {
    gather(work, order, rows, s);
    differentiate(rows, params, s);
    for (int place = 0; place < PARAMETERS; place++) {
        momenta[place] = work->momentum * momenta[place] + s->gradient[place];
        params[place] -= work->learning_rate * momenta[place];
    }
}

static void *train_groups(void *argument) {
    struct work *work = argument;
    static _Thread_local struct scratch scratch;
    for (;;) {
        long group = __atomic_fetch_add(&work->next_group, 1, __ATOMIC_RELAXED);
        if (group >= work->group_count) return 0;
        vector params[PARAMETERS], momenta[PARAMETERS];
        for (int place = 0; place < PARAMETERS; place++) {
            params[place] = work->params[group * PARAMETERS + place];
            momenta[place] = work->momenta[group * PARAMETERS + place];
        }
        for (int epoch = 0; epoch < work->epochs; epoch++) {
            long which = group * work->order_count + epoch % work->order_count;
            const uint16_t *order = work->orders + which * work->rows * LANES;
            for (int start = 0; start < work->rows; start += BATCH)
                step(work, order + (long)start * LANES, at_most(BATCH, work->rows - start), params, momenta, &scratch);
            if (work->look_every_epoch) look(work, group, params, &scratch);
        }
        for (int place = 0; place < PARAMETERS; place++) {
            work->params[group * PARAMETERS + place] = params[place];
            work->momenta[group * PARAMETERS + place] = momenta[place];
        }
    }
}

static void on_threads(int threads, void *(*function)(void *), void *argument, long stride) {
    pthread_t others[threads];
    for (int index = 1; index < threads; index++)
        pthread_create(&others[index], 0, function, (char *)argument + index * stride);
    function(argument);
    for (int index = 1; index < threads; index++) pthread_join(others[index], 0);
}

void train(int threads, int group_count, int rows, int epochs, int order_count, int look_every_epoch, int test_rows,
           float learning_rate, float momentum, const float *x, const float *y, const float *test_x,
           const float *test_y, const uint16_t *orders, vector *params, vector *momenta, vector *gradients,
           vector *right) {
    struct work work = {.group_count = group_count, .rows = rows, .epochs = epochs, .order_count = order_count,
                        .look_every_epoch = look_every_epoch, .test_rows = test_rows, .learning_rate = learning_rate,
                        .momentum = momentum, .x = x, .y = y, .test_x = test_x, .test_y = test_y, .orders = orders,
                        .params = params, .momenta = momenta, .gradients = gradients, .right = right};
    on_threads(threads, train_groups, &work, 0);
}

int lanes(void) { return LANES; }

void tanh_values(int vectors, vector *values) {
    for (int index = 0; index < vectors; index++) values[index] = tanh_vector(values[index]);
}

/* The peak: independent multiply-adds that stay in registers. */
#define CHAINS 16

struct peak {
    long turns;
    vector result;
};

static void *multiply_add(void *argument) {
    struct peak *peak = argument;
    vector sums[CHAINS], factor = peak->result;
    UNROLL for (int chain = 0; chain < CHAINS; chain++) sums[chain] = spread(chain);
    for (long turn = 0; turn < peak->turns; turn++)
        UNROLL for (int chain = 0; chain < CHAINS; chain++) sums[chain] = sums[chain] * factor + factor;
    vector total = sums[0];
    UNROLL for (int chain = 1; chain < CHAINS; chain++) total += sums[chain];
    peak->result = total;
    return 0;
}

/* Multiply-adds that were done, each on one float; `seed` below one keeps the sums finite. */
double peak_multiply_adds(int threads, long turns, float seed, float *result) {
    struct peak peaks[threads];
    for (int index = 0; index < threads; index++) peaks[index] = (struct peak){turns, spread(seed)};
    on_threads(threads, multiply_add, peaks, sizeof(struct peak));
    *result = peaks[0].result[0];
    return (double)threads * turns * CHAINS * LANES;
}
