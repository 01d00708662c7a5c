declare const VERSION: string;

/** Whether this is built as a script of its own; false in the module. */
declare const IS_SCRIPT: boolean;
