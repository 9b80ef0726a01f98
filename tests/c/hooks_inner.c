/* The last of the libraries that define the function. */
int hooks_layer(void) {
        return 2;
}
